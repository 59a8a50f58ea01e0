/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many files the daemon may have open: as many as the hard limit allows. The soft limit at its
 * start, usually 1024, is for programs that use select(2), and lasts for some fifty guests.
 * Programs that the daemon starts get it back: a QEMU, which opens a connection for each one of its
 * guest, must not use up the host's files.
 */
#ifndef CHILDHURDD_SYSTEM_DESCRIPTORS_H
#define CHILDHURDD_SYSTEM_DESCRIPTORS_H

#include <glib.h>
#include <sys/types.h>

/* No more are requested, because some programs loop up to the limit. */
#define DESCRIPTORS_MOST 1048576
/* For the daemon itself: clients, workers and libvirt. */
#define DESCRIPTORS_DAEMON 400
/* For each guest, at most: libvirt's monitor and thread, its process, its sessions, its slots. */
#define DESCRIPTORS_GUEST 20

/* Once, before any other thread runs. */
void descriptors_raise(void);
/* Give a child that was just started the soft limit that this process was started with. */
void descriptors_give_back(pid_t pid);
/* The number of files that the daemon can open after descriptors_raise. */
gulong descriptors_attainable(void);

#endif
