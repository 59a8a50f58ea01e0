/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what is kept of a guest for the next daemon: a file that a dying disk or a person may have
 * changed.
 *
 * Input: a byte that says whether the file is of this boot of the host, and the file, of which the
 * former has the beginning from here. Whatever is in it, the daemon gets numbers that it can
 * compute with and texts, and what it writes of them is the same when it is read again. GLib's
 * complaints count as faults.
 */
#include <sanitizer/lsan_interface.h>
#include <string.h>

#include "childhurdd/system/process.h"
#include "childhurdd/world/record.h"
#include "tests/fuzz/lib/fuzz.h"

#define OF_THIS_BOOT 1

/* json-glib forgets the first of two values in one text, which is nothing to a daemon that reads
 * the file once. */
#pragma weak __lsan_disable
#pragma weak __lsan_enable

static char *file;

static struct record
read_file(void)
{
	if (__lsan_disable)
		__lsan_disable();
	struct record read = record_read(file);
	if (__lsan_enable)
		__lsan_enable();
	return read;
}

static void
require_text(char **strings)
{
	for (; strings && *strings; strings++)
		require(g_utf8_validate(*strings, -1, NULL), "what is kept is text", NULL);
}

static gboolean
is_same(char **a, char **b)
{
	return !a || !b ? a == b : g_strv_equal((const char *const *)a, (const char *const *)b);
}

static void
check(struct record *read)
{
	require(read->kept.served >= 0 && read->kept.restarts >= 0 && read->kept.warm_failures >= 0,
		"what is counted is not negative", NULL);
	for (int i = 0; i < BOOTS_KEPT; i++)
		require(read->boots[i] >= 0 && read->boots[i] <= G_MAXINT, "a boot has a time",
			NULL);
	require(!read->damage || !read->known, "what is damaged is not known", read->damage);
	require_text(read->guest);
	require_text(read->host_keys);
	require_text(read->coordinators);
}

static void
check_again(const struct record *read)
{
	g_autofree char *text = record_text(read);
	fuzz_write(file, text, strlen(text));
	struct record again = read_file();
	require(again.known && !again.damage, "what was written can be read", again.damage);
	require(!memcmp(&again.kept, &read->kept, sizeof again.kept) && again.kvm == read->kvm,
		"what is kept stays the same", NULL);
	require(!g_strcmp0(again.emulator, read->emulator) && is_same(again.guest, read->guest) &&
		    is_same(again.host_keys, read->host_keys) &&
		    is_same(again.coordinators, read->coordinators),
		"the texts stay the same", text);
	record_clear(&again);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	file = g_build_filename(fuzz_folder(), "state", NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	g_autofree char *boot = process_boot();
	g_autoptr(GString) text = g_string_new(NULL);
	if (data[0] & OF_THIS_BOOT)
		g_string_printf(text, "{\"boot\":\"%s\",\"want-up\":true,", boot);
	g_string_append_len(text, (const char *)data + 1, (gssize)size - 1);
	fuzz_write(file, text->str, text->len);
	struct record read = read_file();
	check(&read);
	if (read.known)
		check_again(&read);
	record_clear(&read);
	return 0;
}
