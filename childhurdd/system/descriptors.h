/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many files the daemon may have open: as many as the hard limit lets it. The soft limit that
 * it was started with, 1024 as a rule, is for programs that use select(2), and is passed by some
 * fifty guests. Those programs that the daemon starts get it back: a QEMU that opens a connection
 * for each one of its guest's is not to use up what the host has.
 */
#ifndef CHILDHURDD_SYSTEM_DESCRIPTORS_H
#define CHILDHURDD_SYSTEM_DESCRIPTORS_H

#include <glib.h>
#include <sys/types.h>

/* More are not asked for: some programs count to the limit. */
#define DESCRIPTORS_MOST 1048576
/* The daemon's own: clients, workers and libvirt. */
#define DESCRIPTORS_DAEMON 400
/* For each guest, at most: libvirt's monitor and thread, its process, its sessions, its slots. */
#define DESCRIPTORS_GUEST 20

/* Once, before any other thread runs. */
void descriptors_raise(void);
/* A child that was just started gets the soft limit that this process was started with. */
void descriptors_give_back(pid_t pid);
/* How many the daemon can have after descriptors_raise. */
gulong descriptors_attainable(void);

#endif
