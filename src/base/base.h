/* SPDX-License-Identifier: MIT
 *
 * base.h - the door of base: the vocabulary that every other room is written in. Its bricks carry
 * their file's name as prefix (text_, sys_, heap_...) instead of the room's.
 *
 * Context: hot. Nothing here takes a lock that the application can hold, or calls malloc, but for
 * whole_file, which only rooms that may block use.
 */
#ifndef MOONHEAP_BASE_BASE_H
#define MOONHEAP_BASE_BASE_H

#include "attr.h"
#include "bisect.h"
#include "err.h"
#include "exported.h"
#include "heap.h"
#include "ids.h"
#include "log.h"
#include "lookup.h"
#include "maps.h"
#include "options.h"
#include "own.h"
#include "process.h"
#include "request.h"
#include "sign.h"
#include "sys.h"
#include "text.h"
#include "whole_file.h"

#endif
