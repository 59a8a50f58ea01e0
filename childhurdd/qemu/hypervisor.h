/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt: the only way to QEMU.
 *
 * libvirt's calls block for milliseconds to many seconds, so each runs in a worker, and its result
 * comes back through the event loop. libvirt's own event loop has a thread of its own, and its
 * reports are posted to the daemon's loop.
 */
#ifndef CHILDHURDD_QEMU_HYPERVISOR_H
#define CHILDHURDD_QEMU_HYPERVISOR_H

#include <glib.h>
#include <sys/types.h>

#include "childhurdd/qemu/libvirt_root.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/system/tasks.h"

#define HYPERVISOR_CALLS_MAX 4 /* calls about one QEMU at a time, beside its start and end */

/*
 * One QEMU. A guest's domain always has the same UUID, but libvirt gives it another id with each
 * start. So a call that is meant for one QEMU never reaches the next one.
 */
struct hypervisor_qemu {
	char *uuid; /* owned by what this is part of */
	int id;	    /* 0: none is known */
	pid_t pid;  /* 0: unknown */
};

enum hypervisor_event {
	HYPERVISOR_STARTED,
	HYPERVISOR_RESET_ASKED,	    /* the guest asked for a reset; its QEMU ends */
	HYPERVISOR_POWER_OFF_ASKED, /* the guest powered itself off; its QEMU ends */
	HYPERVISOR_STOPPED,	    /* libvirt is done with the domain; detail says why it ended */
	HYPERVISOR_PAUSED,	    /* QEMU has paused the guest, or resumed it */
	HYPERVISOR_LOST, /* the connection is gone (qemu NULL); the next call opens it again */
};
/* Called from the loop. qemu: without its pid. It need not be the present one of its guest: its end
 * may be reported while the next one runs. id 0: libvirt does not report which. */
typedef void (*hypervisor_event_fn)(enum hypervisor_event event, const struct hypervisor_qemu *qemu,
				    const char *detail, void *data);

struct hypervisor;
/*
 * Create a hypervisor, which connects with its first call. uri: qemu:///embed means the embedded
 * driver with its root in state_directory/libvirt. This writes the qemu.conf there, by which QEMU
 * runs as user. libvirt may get a link in runtime_directory instead of that path (see embed_path).
 * NULL: the error has the reason. A hypervisor lives as long as the process, and the guests go on
 * after it.
 */
struct hypervisor *hypervisor_new(struct tasks *tasks, const char *uri, const char *state_directory,
				  const char *runtime_directory, const struct qemu_user *user,
				  hypervisor_event_fn event, void *data, GError **error);

/* The runtime directory was removed and is there again: create in it what the embedded driver
 * needs. */
gboolean hypervisor_renew(struct hypervisor *hypervisor, GError **error);

/* The daemon ends, and the guests go on. No call may follow. */
void hypervisor_leave(struct hypervisor *hypervisor);

/* Is the driver in this process? If such a driver cannot be opened once, it never can. */
gboolean hypervisor_embedded(const struct hypervisor *hypervisor);

/* Is the driver in the system's libvirtd? That runs as root, and chooses QEMU's user unless the
 * domain states it. */
gboolean hypervisor_of_system(const struct hypervisor *hypervisor);

struct hypervisor_call;
/* Whether QEMU lets its guest run. */
enum hypervisor_running {
	HYPERVISOR_RUNS,
	HYPERVISOR_NO_ROOM,   /* no: its disk had no space left on the host */
	HYPERVISOR_IO_ERROR,  /* no: its disk could not be read or written on the host */
	HYPERVISOR_SUSPENDED, /* no: another program has paused it */
	HYPERVISOR_BROKEN,    /* no, and never again: an error in QEMU or KVM, a panic */
};

/* The result of a call, valid only while the callback runs. */
struct hypervisor_result {
	const GError *error; /* NULL: done */
	const char *text;    /* answer to a monitor command; for a look: QEMU's RunState */
	enum hypervisor_running running; /* for a look */
	int id;				 /* of the started domain */
	pid_t pid;			 /* ... 0: unknown */
	GPtrArray *domains;		 /* of struct hypervisor_domain, for hypervisor_list */
};
typedef void (*hypervisor_fn)(const struct hypervisor_result *result, void *data);

struct hypervisor_domain {
	char *name;
	struct hypervisor_qemu qemu;
};

/*
 * The calls. done is called later from the loop, once, unless it is NULL or the call is forgotten
 * before. Each returns a handle for hypervisor_forget, valid until done is called. qemu is copied.
 * A call about a QEMU that has ended fails with HYPERVISOR_ERROR_GONE, even if another runs in its
 * place.
 */
/* Start a transient domain. First wait until libvirt has cleaned up a dead domain of the same UUID,
 * and until calls about that are done. */
struct hypervisor_call *hypervisor_start(struct hypervisor *hypervisor, const char *name,
					 const char *uuid, const char *xml, hypervisor_fn done,
					 void *data);
/* End it: SIGTERM, then SIGKILL. If it has ended already, this is no error. */
struct hypervisor_call *hypervisor_destroy(struct hypervisor *hypervisor,
					   const struct hypervisor_qemu *qemu, hypervisor_fn done,
					   void *data);
struct hypervisor_call *hypervisor_power_button(struct hypervisor *hypervisor,
						const struct hypervisor_qemu *qemu,
						hypervisor_fn done, void *data);
/* Run a command in QEMU's human monitor. If HYPERVISOR_CALLS_MAX calls about one guest are under
 * way, QEMU does not answer, and the call fails at once: it would only take a worker from other
 * guests. */
struct hypervisor_call *hypervisor_monitor(struct hypervisor *hypervisor,
					   const struct hypervisor_qemu *qemu, const char *command,
					   hypervisor_fn done, void *data);
/*
 * Save the whole machine's state, with the disk's, as an internal snapshot of the disk; load it in
 * a QEMU that runs; drop it (warm.h). The guest stands still meanwhile and QEMU answers nothing
 * else, for seconds if the guest has much memory: the caller has the limit. The pause is not
 * reported as HYPERVISOR_PAUSED. tag: the snapshot's name, letters, digits and hyphens.
 *
 * A save first removes a snapshot of the same name. stay: the guest stands still afterwards, until
 * its QEMU is ended or resumed; else it goes on, and it goes on after an error. A guest whose state
 * could not be loaded stands still and has to be ended. To drop one that is not there is no error.
 */
struct hypervisor_call *hypervisor_save(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, const char *tag,
					gboolean stay, hypervisor_fn done, void *data);
struct hypervisor_call *hypervisor_load(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, const char *tag,
					hypervisor_fn done, void *data);
struct hypervisor_call *hypervisor_drop(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, const char *tag,
					hypervisor_fn done, void *data);
/* Find out whether its guest runs. */
struct hypervisor_call *hypervisor_look(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, hypervisor_fn done,
					void *data);
/* Resume it: QEMU tries again to read or write what failed. Then look whether it runs. */
struct hypervisor_call *hypervisor_resume(struct hypervisor *hypervisor,
					  const struct hypervisor_qemu *qemu, hypervisor_fn done,
					  void *data);
/* All running domains. */
struct hypervisor_call *hypervisor_list(struct hypervisor *hypervisor, hypervisor_fn done,
					void *data);
/* The folder with the logs of its QEMUs, one for each guest; NULL: libvirtd has them. Borrowed. */
const char *hypervisor_logs(const struct hypervisor *hypervisor);
/* Never call done. The work itself goes on. NULL is allowed. */
void hypervisor_forget(struct hypervisor_call *call);

#endif
