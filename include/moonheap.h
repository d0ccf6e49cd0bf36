/* SPDX-License-Identifier: MIT
 *
 * moonheap.h - optional hints for a program that is looked at with Moonheap.
 */
