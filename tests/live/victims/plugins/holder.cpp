// SPDX-License-Identifier: MIT
//
// holder.cpp - a module with one variable, to be loaded while a program runs.
//
// Context: test victim.
extern "C" {
void *plugin_holder;
}
