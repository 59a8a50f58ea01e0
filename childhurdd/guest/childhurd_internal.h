/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of a guest's actions share. Each function belongs to the file that it stands
 * under. why and what are for people, and copied where they are kept; they may be those of c. */
#ifndef CHILDHURDD_GUEST_CHILDHURD_INTERNAL_H
#define CHILDHURDD_GUEST_CHILDHURD_INTERNAL_H

#include "childhurdd/guest/childhurd.h"

/* Phases: what is waited for. In childhurd_ready.c. */
extern const char childhurd_phase_collecting[];
extern const char childhurd_phase_winding_down[];

/* --- childhurd.c --- */

/* A start from the beginning: it waits for its place. */
void childhurd_start(struct childhurd *c, const char *why);

/* --- childhurd_actions.c --- */

/* What an action follows from. */
struct cause {
	enum event event;
	const char *text;   /* what exactly; may be NULL */
	gboolean wanted_up; /* want_up as it was before the event */
};
typedef void (*childhurd_action)(struct childhurd *c, const struct cause *cause);
/* ACTION_UNDEFINED alone has none. */
extern const childhurd_action childhurd_actions[N_ACTIONS];

/* --- childhurd_state.c --- */

/* EVENT_DEADLINE after so many ms; < 0: never. */
void childhurd_set_deadline(struct childhurd *c, gint64 after);
/* The limit of a guest that is watched: it waits while nothing can be said of the guest. */
void childhurd_set_limit(struct childhurd *c, gint64 after);
/* ms that are left of such a limit. */
gint64 childhurd_limit_left(struct childhurd *c);
/* Builds are kept out of a guest that is to get none from anybody, and else let in. */
void childhurd_mind_slots(struct childhurd *c);
/* What keeps a ready guest off the list, NULL: nothing. */
const char *childhurd_ready_phase(const struct childhurd *c);
/* The one place where a state changes: logged, published and kept before anything follows from it.
 */
void childhurd_set_state(struct childhurd *c, enum state state, const char *why);
/* A wish, or what is known of it, can put a guest on the list or take it off. */
void childhurd_list_again(struct childhurd *c);

/* --- childhurd_ready.c --- */

/* What a probe said of its clock. */
void childhurd_note_clock(struct childhurd *c, gboolean off, const char *what);
/* A probe was answered. */
void childhurd_ready(struct childhurd *c);
/* It stops once no build runs in it; until then it gets no further ones. */
void childhurd_wind_down(struct childhurd *c, const char *why);
/* It gets no further builds, as people want. */
void childhurd_drain(struct childhurd *c, const char *why);
/* It gets builds again. */
void childhurd_undrain(struct childhurd *c, const char *why);
/* What a probe said of its store. */
void childhurd_note_room(struct childhurd *c, enum event event, const char *what);

/* --- childhurd_boots.c --- */

/*
 * What a boot may take: learned from the last ones, so that one that hangs is known long before
 * boot-timeout. After a failure, and before all of BOOTS_KEPT are known, boot-timeout holds.
 */
gint64 childhurd_boot_limit(const struct childhurd *c);
/* The last boot took so many ms. */
void childhurd_boots_note(struct childhurd *c, gint64 took);

/* --- childhurd_doubt.c --- */

/*
 * hang-timeout passed without an answer. A build in it is not broken as long as the guest shows
 * that it lives.
 */
void childhurd_hang(struct childhurd *c, const char *what);
/* Off the list for what was seen of it from outside: a probe is not waited for. */
void childhurd_doubt(struct childhurd *c, gint64 limit, const char *what);
/* A probe could not be made. */
void childhurd_unasked(struct childhurd *c, const char *what);
/* A probe was made. */
void childhurd_asked(struct childhurd *c);
/* QEMU does not let it run. */
void childhurd_paused(struct childhurd *c, const char *what);
/* QEMU lets it run again. */
void childhurd_resumed(struct childhurd *c, const char *what);
/*
 * The console says so. It is off the list at once, whoever wrote that, and has stop-timeout to be
 * gone. If it answers after that, the line was not true; if not, it is down, whatever its last line
 * is.
 */
void childhurd_goes_down(struct childhurd *c, enum event event, const char *what);
/* A limit of a guest passed that goes down. */
void childhurd_is_down(struct childhurd *c);

/* --- childhurd_end.c --- */

/* What it would be if this event, in the present state, made a failure. */
enum failure childhurd_failure_of(const struct childhurd *c, enum event event);
/* The next start makes a new disk. */
void childhurd_discard_disk(struct childhurd *c);
/* QEMU is gone: what now? */
void childhurd_settle(struct childhurd *c, const char *why);
/* With --now a gentle way has time only as long as it shows effect. */
void childhurd_hasten(struct childhurd *c);
/* The rung's limit passed, or only what there is of it with --now: has anything been seen since? */
gboolean childhurd_shows_effect(struct childhurd *c);
/* A Mach that QEMU loads itself heeds no power button as a rule, which --now does not wait for; who
 * goes down already needs none. */
enum rung childhurd_rung_without_ssh(const struct childhurd *c);
/* The next way to end QEMU begins. */
void childhurd_climb(struct childhurd *c, enum rung rung);
/* Off the list, then down, beginning with the gentlest way that can work. */
void childhurd_stop(struct childhurd *c, enum rung rung, const char *why);
/* This way has had no effect, why: NULL, within its limit. */
void childhurd_next_rung(struct childhurd *c, const char *why);
/* The hypervisor is at it and cannot be interrupted: whether QEMU came up, it will say. */
void childhurd_abandon_launch(struct childhurd *c, const char *why);
/* People want something of a guest that is not up. Is there a QEMU all the same, or may one still
 * come up? Then that has to end first, and what they want follows. */
gboolean childhurd_end_first(struct childhurd *c, const char *why);
/* A QEMU came up that was given up before. Who gave up does not begin anew because of it. */
void childhurd_end_unwanted(struct childhurd *c);
/* Something is wrong with a guest that people want up. */
void childhurd_fail(struct childhurd *c, enum verdict verdict, const char *what);
/* QEMU is gone by itself. */
void childhurd_ended(struct childhurd *c, enum event event, const char *what);

#endif
