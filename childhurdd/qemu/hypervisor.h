/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt: the only way to QEMU.
 *
 * libvirt's calls block for milliseconds to many seconds, so each runs in a worker thread, and its
 * result comes back through the event loop. libvirt's own event loop has a thread to itself; what
 * it reports is posted to ours.
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
 * One QEMU. The domain of a guest has the same UUID each time, but libvirt gives it another id with
 * each start. So what is meant for one QEMU never reaches the next one.
 */
struct hypervisor_qemu {
	char *uuid; /* owned by what this is part of */
	int id;	    /* 0: none that is known */
	pid_t pid;  /* 0: unknown */
};

enum hypervisor_event {
	HYPERVISOR_STARTED,
	HYPERVISOR_RESET_ASKED,	    /* the guest asked for a reset; its QEMU ends */
	HYPERVISOR_POWER_OFF_ASKED, /* the guest powered itself off; its QEMU ends */
	HYPERVISOR_STOPPED,	    /* libvirt is done with the domain; detail says why it ended */
	HYPERVISOR_PAUSED, /* its QEMU runs on, but not the guest; or the guest runs again */
	HYPERVISOR_LOST, /* the connection is gone (qemu NULL); it is opened again by the next call
			  */
};
/* From the loop. qemu: which one, without its pid; it need not be the present one of its guest, as
 * the end of one may be reported when the next one runs. id 0: libvirt does not say which. */
typedef void (*hypervisor_event_fn)(enum hypervisor_event event, const struct hypervisor_qemu *qemu,
				    const char *detail, void *data);

struct hypervisor;
/*
 * Make a hypervisor; it connects with its first call. uri: qemu:///embed means the embedded driver
 * with its root in state_directory/libvirt, whose qemu.conf is written here: QEMU runs as user. It
 * may be given a link to that in runtime_directory (see embed_path). NULL and an error when that
 * cannot be done. It lives as long as the process, and the guests live on after it.
 */
struct hypervisor *hypervisor_new(struct tasks *tasks, const char *uri, const char *state_directory,
				  const char *runtime_directory, const struct qemu_user *user,
				  hypervisor_event_fn event, void *data, GError **error);

/* The runtime directory was removed, and is there again: put into it what the embedded driver
 * needs. */
gboolean hypervisor_renew(struct hypervisor *hypervisor, GError **error);

/* The daemon ends; the guests run on. No call may follow. */
void hypervisor_leave(struct hypervisor *hypervisor);

/* The driver is in this process: when it cannot be opened once, it never can. */
gboolean hypervisor_embedded(const struct hypervisor *hypervisor);

/* The driver is in the system's libvirtd, which is root and chooses QEMU's user itself when it is
 * not told. */
gboolean hypervisor_of_system(const struct hypervisor *hypervisor);

struct hypervisor_call;
/* Does QEMU let its guest run? */
enum hypervisor_running {
	HYPERVISOR_RUNS,
	HYPERVISOR_NO_ROOM,   /* no: there was no room for what it wrote */
	HYPERVISOR_IO_ERROR,  /* no: its disk could not be read or written on the host */
	HYPERVISOR_SUSPENDED, /* no: somebody wanted that */
	HYPERVISOR_BROKEN,    /* no, and never again: an error in QEMU or KVM, a panic */
};

/* The end of a call. result: text, domain list..., owned by the callee of the callback only while
 * it runs. */
struct hypervisor_result {
	const GError *error; /* NULL: done */
	const char *text;    /* of a monitor command; of a look: QEMU's word for how it runs */
	enum hypervisor_running running; /* of a look */
	int id;				 /* of a started domain */
	pid_t pid;			 /* ... 0: unknown */
	GPtrArray *domains;		 /* of struct hypervisor_domain, for hypervisor_list */
};
typedef void (*hypervisor_fn)(const struct hypervisor_result *result, void *data);

struct hypervisor_domain {
	char *name;
	struct hypervisor_qemu qemu;
};

/*
 * The calls. done comes later from the loop, once, unless it is NULL or the call is forgotten
 * before. Each returns a handle for hypervisor_forget, valid until done is called. qemu is copied;
 * a call about one that has ended fails with HYPERVISOR_ERROR_GONE, whatever runs in its place.
 */
/* Start a transient domain. A dead one of the same UUID that libvirt has not cleaned up yet is
 * waited for, and so are calls about it that are under way. */
struct hypervisor_call *hypervisor_start(struct hypervisor *hypervisor, const char *name,
					 const char *uuid, const char *xml, hypervisor_fn done,
					 void *data);
/* End it: SIGTERM, then SIGKILL. One that has ended counts as done. */
struct hypervisor_call *hypervisor_destroy(struct hypervisor *hypervisor,
					   const struct hypervisor_qemu *qemu, hypervisor_fn done,
					   void *data);
struct hypervisor_call *hypervisor_power_button(struct hypervisor *hypervisor,
						const struct hypervisor_qemu *qemu,
						hypervisor_fn done, void *data);
/* One command of QEMU's human monitor. Where HYPERVISOR_CALLS_MAX of one guest are under way, QEMU
 * does not answer, and the call fails at once: it would only keep a worker from other guests. */
struct hypervisor_call *hypervisor_monitor(struct hypervisor *hypervisor,
					   const struct hypervisor_qemu *qemu, const char *command,
					   hypervisor_fn done, void *data);
/* How it runs. */
struct hypervisor_call *hypervisor_look(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, hypervisor_fn done,
					void *data);
/* Let it go on: what could not be read or written is tried again. Then how it runs. */
struct hypervisor_call *hypervisor_resume(struct hypervisor *hypervisor,
					  const struct hypervisor_qemu *qemu, hypervisor_fn done,
					  void *data);
/* All running domains. */
struct hypervisor_call *hypervisor_list(struct hypervisor *hypervisor, hypervisor_fn done,
					void *data);
/* The folder of the logs of its QEMUs, one for each guest; NULL: they are not ours. Borrowed. */
const char *hypervisor_logs(const struct hypervisor *hypervisor);
/* done is not called any more; the work itself goes on. NULL is allowed. */
void hypervisor_forget(struct hypervisor_call *call);

#endif
