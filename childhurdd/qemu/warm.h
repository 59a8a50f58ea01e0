/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's warm state: its booted machine, saved with its disk.
 *
 * The state is an internal snapshot of the guest's own overlay, disk.qcow2. So machine and disk are
 * of one moment, the state is exactly as readable as the disk and is removed with it, it is one
 * guest's alone, and nothing is copied: a running QEMU loads it in place, and a new QEMU starts
 * from it. A state in a file of its own could not be loaded in place, and would have to be kept in
 * step with a disk that changes.
 *
 * The record (warm_record.h) names the snapshot. One that it does not name is garbage. A daemon
 * that is killed at any moment of a save leaves the old state or the new one, because the order is:
 * save under another name than the record has, replace the record as a whole, drop the old
 * snapshot. A new overlay removes the record first.
 *
 * A persistent guest's state serves once: the record is removed (warm_consume) before its QEMU
 * starts from it, or goes on, or boots. Otherwise the next start would undo what the guest has
 * synced since. Its snapshot then only takes room: hypervisor_drop, once the guest runs.
 *
 * A guest without a disk, or with another writable disk from qemu-options that holds no snapshots,
 * has no warm state: QEMU's savevm says so.
 *
 * All functions are the loop's. A job reports once, from the loop and never from within a call, and
 * may be freed from its callback.
 */
#ifndef CHILDHURDD_QEMU_WARM_H
#define CHILDHURDD_QEMU_WARM_H

#include "childhurdd/qemu/hypervisor.h"
#include "childhurdd/qemu/warm_record.h"
#include "childhurdd/system/lane.h"

#define WARM_FILES_LIMIT 30000	/* ms that a file may take to answer */
#define WARM_SAVE_LIMIT	 180000 /* ms for QEMU; 2 GiB under TCG on a busy host take up to 32 s */
#define WARM_LOAD_LIMIT	 30000	/* ms for a QEMU that runs; 2 GiB take 1.2 s */

/* Where a guest's states are made. All borrowed, and longer-lived than any job. */
struct warm_place {
	struct ev_loop *loop;
	struct lane *lane; /* the guest's: its files are touched here */
	struct hypervisor *hypervisor;
};

struct warm_job;
void warm_job_free(struct warm_job *job); /* NULL is allowed; what has begun goes on unheard */

/* record: a state to start from, whose tag is for domain_spec.load; NULL: there is none. why: a
 * state was there, and was thrown away for this reason; NULL: there was none. */
typedef void (*warm_found_fn)(struct warm_job *job, const struct warm_record *record,
			      const char *why, void *data);
/* Is there a state that fits the QEMU that is about to start, or, if loads, that runs? A state that
 * does not fit loses its record. */
struct warm_job *warm_find(const struct warm_place *place, const struct warm_spec *spec,
			   warm_found_fn done, void *data);

/* error NULL: it is done. took: ms that QEMU took, in which the guest stood still. */
typedef void (*warm_fn)(struct warm_job *job, const GError *error, gint64 took, void *data);

/*
 * Save the state of the guest that runs, in place of an earlier one. Our sessions are closed by
 * then, and builds are kept out. stay: the guest stands still afterwards, because its QEMU is to be
 * ended (a persistent guest falls asleep). A daemon that is killed in between leaves a QEMU that
 * stands still: the next daemon ends it, or consumes the record and resumes it.
 *
 * After an error the guest has the state that it had before, and goes on; but with stay it may
 * stand still, and a record that is late may yet be written: warm_consume, then hypervisor_resume.
 * A file that has changed since QEMU's start is an error: the guest runs from the old one.
 */
struct warm_job *warm_save(const struct warm_place *place, const struct warm_spec *spec,
			   const struct hypervisor_qemu *qemu, gboolean stay, warm_fn done,
			   void *data);
/* Load the state in the guest's QEMU: all that happened since is gone, and all connections are
 * dead. After an error the guest stands still, and its QEMU has to be ended. */
struct warm_job *warm_load(const struct warm_place *place, const struct hypervisor_qemu *qemu,
			   const struct warm_record *record, warm_fn done, void *data);
/* A QEMU that has started from the state: is it of the version that saved it? */
struct warm_job *warm_prove(const struct warm_place *place, const struct hypervisor_qemu *qemu,
			    const struct warm_record *record, warm_fn done, void *data);
/* There is no state any more: before a persistent guest runs (launch), and for `reset --cold`.
 * Without an error the record is gone, on disk, too. Before a launch it stays, with an error, while
 * the host lacks what QEMU's start needs. */
struct warm_job *warm_consume(const struct warm_place *place, const char *overlay, gboolean launch,
			      warm_fn done, void *data);

#endif
