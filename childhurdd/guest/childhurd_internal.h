/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the childhurd*.c share. Each function is in the file that it stands under. why and what are
 * texts in words; they are copied if they are kept, and may point into c. */
#ifndef CHILDHURDD_GUEST_CHILDHURD_INTERNAL_H
#define CHILDHURDD_GUEST_CHILDHURD_INTERNAL_H

#include "childhurdd/guest/childhurd.h"

/* Phases, defined in childhurd_ready.c. */
extern const char childhurd_phase_collecting[];
extern const char childhurd_phase_winding_down[];
extern const char childhurd_phase_saving[];
extern const char childhurd_phase_silent[];

/* --- childhurd.c --- */

/* Start from the beginning: wait for a place. */
void childhurd_start(struct childhurd *c, const char *why);
/* Forget what belonged to one boot, and QEMU; or the former only. */
void childhurd_new_boot(struct childhurd *c);
void childhurd_forget_boot(struct childhurd *c);

/* --- childhurd_actions.c --- */

/* The event that an action follows from. */
struct cause {
	enum event event;
	const char *text;   /* its details; may be NULL */
	gboolean wanted_up; /* want_up before the event */
};
typedef void (*childhurd_action)(struct childhurd *c, const struct cause *cause);
/* NULL only for ACTION_UNDEFINED. */
extern const childhurd_action childhurd_actions[N_ACTIONS];

/* --- childhurd_state.c --- */

/* EVENT_DEADLINE after so many ms; < 0: never. */
void childhurd_set_deadline(struct childhurd *c, gint64 after);
/* Set the limit of a guest that is watched. The limit waits while the guest is unasked or
 * paused. */
void childhurd_set_limit(struct childhurd *c, gint64 after);
/* ms left of that limit. */
gint64 childhurd_limit_left(struct childhurd *c);
/* Keep builds out of a guest that may get none from any coordinator; let them into others. */
void childhurd_mind_slots(struct childhurd *c);
/* What keeps a ready guest off the list; NULL: nothing. */
const char *childhurd_ready_phase(const struct childhurd *c);
/* The only function that changes a state. It logs, publishes and stores the state before anything
 * follows from it. */
void childhurd_set_state(struct childhurd *c, enum state state, const char *why);
/* Publish the guest again if its place in the list has changed. */
void childhurd_list_again(struct childhurd *c);

/* --- childhurd_ready.c --- */

/* A probe reported its clock. */
void childhurd_note_clock(struct childhurd *c, gboolean off, const char *what);
/* A probe was answered. */
void childhurd_ready(struct childhurd *c);
/* Stop it, or what aim says, once no build runs in it. Until then it gets no further builds. */
void childhurd_wind_down(struct childhurd *c, enum aim aim, const char *why);
/* No build runs in it any more. */
void childhurd_come_down(struct childhurd *c, const char *why);
/* The operators want no further builds in it. */
void childhurd_drain(struct childhurd *c, const char *why);
/* The operators want builds in it again. */
void childhurd_undrain(struct childhurd *c, const char *why);
/* A probe reported the space in its store. */
void childhurd_note_room(struct childhurd *c, enum event event, const char *what);

/* --- childhurd_boots.c --- */

/*
 * How long a boot may take. It follows from the last boots, so a boot that hangs is noticed long
 * before boot-timeout. After a failure, or with fewer than BOOTS_KEPT boots, it is boot-timeout.
 */
gint64 childhurd_boot_limit(const struct childhurd *c);
/* It boots or is restored, and has no SSH server yet; and that is no longer than usual. */
gboolean childhurd_may_be_silent(struct childhurd *c);
/* The last boot took so many ms. */
void childhurd_boots_note(struct childhurd *c, gint64 took);

/* --- childhurd_doubt.c --- */

/*
 * hang-timeout passed without an answer. A running build is not broken off while the guest shows
 * signs of life.
 */
void childhurd_hang(struct childhurd *c, const char *what);
/* Take it off the list for what was seen from outside, without waiting for a probe. */
void childhurd_doubt(struct childhurd *c, gint64 limit, const char *what);
/* It was taken over, and this shows that it is not as the earlier daemon left it. Its limit goes
 * on. */
void childhurd_distrust(struct childhurd *c, const char *what);
/* A probe could not be made. */
void childhurd_unasked(struct childhurd *c, const char *what);
/* A probe was made. */
void childhurd_asked(struct childhurd *c);
/* QEMU has paused it. */
void childhurd_paused(struct childhurd *c, const char *what);
/* QEMU lets it run again. */
void childhurd_resumed(struct childhurd *c, const char *what);
/*
 * The console reports that it goes down. Any program can write that line, but the guest is off the
 * list at once, and has stop-timeout to be gone. If it answers a probe after that, the line was not
 * true; if not, it is down, whatever its last line is.
 */
void childhurd_goes_down(struct childhurd *c, enum event event, const char *what);
/* A limit of a guest that goes down has passed. */
void childhurd_is_down(struct childhurd *c);

/* --- childhurd_warm.c --- */

gboolean childhurd_can_start_warm(struct childhurd *c);
/* A cold boot is proven: is a warm state to be made of it first? Then that has begun. */
gboolean childhurd_save_first(struct childhurd *c);
/* What is being saved is not of use any more. */
void childhurd_stop_saving(struct childhurd *c);
void childhurd_saved(struct childhurd *c, gboolean saved, const char *what);
/* QEMU was started from the warm state. */
void childhurd_begin_warm(struct childhurd *c, const char *why);
/* The state is loaded. */
void childhurd_restored(struct childhurd *c);
void childhurd_stirred(struct childhurd *c);
/* A warm start failed. */
void childhurd_go_cold(struct childhurd *c, const char *what);
/* There is no warm state that fits. */
void childhurd_unfit(struct childhurd *c, const char *why);
/* Make it pristine in the QEMU that runs, whatever is in it; FALSE: that cannot be. */
gboolean childhurd_restore(struct childhurd *c, const char *why);
/* It had as many builds as recycle-after allows. */
gboolean childhurd_is_used_up(const struct childhurd *c);
void childhurd_recycle(struct childhurd *c);
void childhurd_count_build(struct childhurd *c);
/* How its QEMU ends when it goes to sleep. */
enum rung childhurd_rung_to_sleep(struct childhurd *c);
/* It has no QEMU. */
void childhurd_fall_asleep(struct childhurd *c, const char *why);
/* Somebody connected to its port. */
void childhurd_woken(struct childhurd *c, const char *why);
/* It sleeps on, and somebody connected a moment ago: wake it for who has not hung up. */
void childhurd_hear_who_waits(struct childhurd *c);
/* Its start has begun, and somebody may be waiting for it: is there hope? */
void childhurd_begin_to_wake(struct childhurd *c);
void childhurd_take_port(struct childhurd *c);
/* Who waits there is refused, and so is everybody who comes. */
void childhurd_let_go_of_port(struct childhurd *c);
/* Its state changed: who waits at its port is passed on to it or refused. */
void childhurd_answer_callers(struct childhurd *c);

/* --- childhurd_end.c --- */

/* The kind of failure that this event means in the present state. */
enum failure childhurd_failure_of(const struct childhurd *c, enum event event);
/* The next start makes a new disk. */
void childhurd_discard_disk(struct childhurd *c);
/* QEMU is gone: choose the next state. */
void childhurd_settle(struct childhurd *c, const char *why);
/* With --now: shorten the rung's limit, which lasts only while the rung shows effect. */
void childhurd_hasten(struct childhurd *c);
/* The rung's deadline has passed. TRUE: only the shorter one of --now has, and the guest has shown
 * since then that it goes down. */
gboolean childhurd_shows_effect(struct childhurd *c);
/* The rung to use if SSH does not work. A Mach that QEMU loads itself usually ignores the power
 * button, so --now skips it; a guest that goes down already does not need it. */
enum rung childhurd_rung_without_ssh(const struct childhurd *c);
/* Begin this way to end QEMU. */
void childhurd_climb(struct childhurd *c, enum rung rung);
/* Take it off the list, then end it, beginning with this rung. */
void childhurd_stop(struct childhurd *c, enum rung rung, const char *why);
/* The present rung had no effect. why: the reason; NULL: its limit has passed. */
void childhurd_next_rung(struct childhurd *c, const char *why);
/* Give up a start that libvirt works on. libvirt cannot be interrupted, and will report whether
 * QEMU came up. */
void childhurd_abandon_launch(struct childhurd *c, const char *why);
/* For a command about a guest that is not up. If its QEMU runs all the same, or may still come up,
 * end that first; the wish follows then. FALSE: there is none. */
gboolean childhurd_end_first(struct childhurd *c, const char *why);
/* A QEMU came up whose start was given up: end it. A failed guest stays failed. */
void childhurd_end_unwanted(struct childhurd *c);
/* A guest that is wanted up has failed. */
void childhurd_fail(struct childhurd *c, enum verdict verdict, const char *what);
/* QEMU ended, and the daemon had not asked for it. */
void childhurd_ended(struct childhurd *c, enum event event, const char *what);

#endif
