/* SPDX-License-Identifier: MIT
 *
 * report.h - what a snapshot says of the stop; inside the room only.
 *
 * Context: frozen.
 */
#ifndef MOONHEAP_FREEZE_REPORT_H
#define MOONHEAP_FREEZE_REPORT_H

#include "job.h"
#include "stop.h"

/* While the threads stand, or `s` is refused or NULL: the section MISSED, the remarks, the flags.
 */
void report_stop(struct freeze_job *j, const struct stop *s, struct freeze_report *report);

#endif
