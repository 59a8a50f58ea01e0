/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The events' names, for what tests report. */
#ifndef TESTS_EVENT_NAME_H
#define TESTS_EVENT_NAME_H

#include "childhurdd/guest/lifecycle.h"

static inline const char *
event_name(enum event event)
{
	static const char *const names[N_EVENTS] = {
	    [EVENT_START] = "start",
	    [EVENT_STOP] = "stop",
	    [EVENT_STOP_NOW] = "stop-now",
	    [EVENT_RESTART] = "restart",
	    [EVENT_RESTART_NOW] = "restart-now",
	    [EVENT_RESET] = "reset",
	    [EVENT_RESET_NOW] = "reset-now",
	    [EVENT_RESET_COLD] = "reset-cold",
	    [EVENT_RESET_COLD_NOW] = "reset-cold-now",
	    [EVENT_SLEEP] = "sleep",
	    [EVENT_DRAIN] = "drain",
	    [EVENT_UNDRAIN] = "undrain",
	    [EVENT_ADMITTED] = "admitted",
	    [EVENT_FOUND] = "found",
	    [EVENT_PREPARED] = "prepared",
	    [EVENT_LAUNCHED] = "launched",
	    [EVENT_START_FAILED] = "start-failed",
	    [EVENT_START_LACKED] = "start-lacked",
	    [EVENT_GREETED] = "greeted",
	    [EVENT_ENROLLED] = "enrolled",
	    [EVENT_PROBE_OK] = "probe-ok",
	    [EVENT_PROBE_FAILED] = "probe-failed",
	    [EVENT_UNASKED] = "unasked",
	    [EVENT_SAVED] = "saved",
	    [EVENT_SAVE_FAILED] = "save-failed",
	    [EVENT_RESTORED] = "restored",
	    [EVENT_STIRRED] = "stirred",
	    [EVENT_RESTORE_FAILED] = "restore-failed",
	    [EVENT_UNFIT] = "unfit",
	    [EVENT_WOKEN] = "woken",
	    [EVENT_IDLE] = "idle",
	    [EVENT_BUILD_DONE] = "build-done",
	    [EVENT_HALT_REFUSED] = "halt-refused",
	    [EVENT_BUILD_ENDED] = "build-ended",
	    [EVENT_ROOM] = "room",
	    [EVENT_LOW] = "low",
	    [EVENT_FULL] = "full",
	    [EVENT_COLLECTED] = "collected",
	    [EVENT_CLOCK_GOOD] = "clock-good",
	    [EVENT_CLOCK_OFF] = "clock-off",
	    [EVENT_CLOCK_SET] = "clock-set",
	    [EVENT_PAUSED] = "paused",
	    [EVENT_RESUMED] = "resumed",
	    [EVENT_HALTING] = "halting",
	    [EVENT_REBOOTING] = "rebooting",
	    [EVENT_HALTED] = "halted",
	    [EVENT_BROKEN] = "broken",
	    [EVENT_REBOOTED] = "rebooted",
	    [EVENT_POWERED_OFF] = "powered-off",
	    [EVENT_DIED] = "died",
	    [EVENT_DEADLINE] = "deadline",
	};
	g_assert_nonnull(names[event]);
	return names[event];
}

#endif
