/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Feeds the search for file systems with the beginning of a disk: any table must come to an end,
 * and lead to offsets within a disk. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "childhurdd/images/file_systems.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int disk = memfd_create("disk", MFD_CLOEXEC);
	if (disk < 0 || write(disk, data, size) != (ssize_t)size)
		abort();
	g_autoptr(GArray) found = file_systems_find(disk, NULL);
	for (guint i = 0; found && i < found->len; i++)
		if (g_array_index(found, guint64, i) >= size)
			abort();
	close(disk);
	return 0;
}
