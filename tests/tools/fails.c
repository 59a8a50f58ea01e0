/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon, in which one call of a kind fails: which one, a test says in a file of memory that
 * both have (CHILDHURD_FAULTS names it, tests/lib/Faults.pm writes it).
 *
 * Linked with all of the daemon. A function of a program takes the place of the libraries' one for
 * all libraries as well, so libvirt's, libssh's, SQLite's and GLib's own calls fail, too. Children
 * are left alone: what is not the process that mapped the file passes each call on.
 *
 * A call is known by the kind and by the places that it was called from (its stack), because which
 * number it has depends on threads and on time. The file keeps all that were counted, in their
 * order; the one that fails is the Nth of a given stack, or the Nth of all.
 *
 * Memory: only where a lack is reported. GLib, json-glib and libvirt end the process, as
 * documented; so the allocations of libssh, libcrypto, libgcrypt and SQLite, our own, and GLib's
 * g_try_ fail.
 */
#undef _FORTIFY_SOURCE /* its inline functions have the names that are made here */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <link.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* As in tests/lib/Faults.pm. */
enum kind {
	KIND_NONE,
	KIND_OPEN,
	KIND_WRITE,
	KIND_SHORT, /* the same calls as KIND_WRITE: half is written, then there is no room */
	KIND_FSYNC,
	KIND_RENAME,
	KIND_FORK,
	KIND_SOCKET,
	KIND_MEMORY,
	KIND_LIBVIRT,
	KIND_SSH,
	KIND_ALL = 255, /* to count */
};

#define STACK	  14	/* frames that a call is known by */
#define CALLS_MAX 65536 /* calls that are kept in their order */

struct faults {
	_Atomic uint32_t kind; /* enum kind; what is counted and may fail */
	uint32_t nth;	       /* the Nth fails; 0: none */
	uint64_t stack;	       /* only of this stack; 0: of all */
	_Atomic uint32_t seen; /* those so far that could have been it */
	_Atomic uint32_t reached;
	_Atomic uint32_t count;	   /* calls of the kind */
	int32_t pid;		   /* the daemon */
	char where[4096 - 32];	   /* what failed, and from where */
	uint64_t calls[CALLS_MAX]; /* stacks; the lowest four bits are the kind */
};

static struct faults *faults;
static pid_t owner;
static _Thread_local int inside;

/* --- who calls --- */

struct range {
	uintptr_t begin, end;
};

static struct range reporting[16]; /* code that reports a lack of memory */
static int n_reporting;

static void
add_range(uintptr_t begin, uintptr_t end)
{
	if (n_reporting < (int)(sizeof reporting / sizeof reporting[0]))
		reporting[n_reporting++] = (struct range){begin, end};
}

static int
on_library(struct dl_phdr_info *info, size_t size, void *data)
{
	static const char *const names[] = {"/libssh.", "/libcrypto.", "/libgcrypt.",
					    "/libgpg-error.", "/libsqlite3."};
	int wanted = !info->dlpi_name[0]; /* the program */
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		wanted |= strstr(info->dlpi_name, names[i]) != NULL;
	for (int i = 0; wanted && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X)
			add_range(begin, begin + segment->p_memsz);
	}
	return 0;
}

static void
add_function(const char *name)
{
	void *address = dlsym(RTLD_DEFAULT, name);
	Dl_info info;
	ElfW(Sym) *symbol = NULL;
	if (address && dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) && symbol)
		add_range((uintptr_t)address, (uintptr_t)address + symbol->st_size);
}

__attribute__((constructor)) static void
start(void)
{
	const char *path = getenv("CHILDHURD_FAULTS");
	void *frames[2];
	backtrace(frames, 2); /* loads what it needs now, not within an allocation */
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	struct faults *shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		return;
	unsetenv("CHILDHURD_FAULTS"); /* a child that is this program once more */
	dl_iterate_phdr(on_library, NULL);
	add_function("g_try_malloc");
	add_function("g_try_malloc0");
	add_function("g_try_malloc_n");
	add_function("g_try_malloc0_n");
	add_function("g_try_realloc");
	add_function("g_try_realloc_n");
	owner = getpid();
	shared->pid = owner;
	faults = shared;
}

/* --- which call it is --- */

/* Frames as module and offset, which are the same in each run. dladdr(3) would look for a symbol
 * each time. */
static uint64_t
stack_hash(void **frames, int n)
{
	uint64_t hash = 1469598103934665603u;
	for (int i = 0; i < n; i++) {
		struct dl_find_object found;
		uint64_t value = (uintptr_t)frames[i];
		if (_dl_find_object(frames[i], &found) == 0) {
			const char *name = strrchr(found.dlfo_link_map->l_name, '/');
			value -= found.dlfo_link_map->l_addr;
			for (const char *p = name ? name : ""; *p; p++)
				value = value * 31 + (unsigned char)*p;
		}
		hash = (hash ^ value) * 1099511628211u;
	}
	return hash;
}

static void
describe(const char *function, void **frames, int n)
{
	size_t length = (size_t)snprintf(faults->where, sizeof faults->where, "%s", function);
	for (int i = 0; i < n && length < sizeof faults->where; i++) {
		Dl_info info = {0};
		dladdr(frames[i], &info);
		const char *name = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
		length += (size_t)snprintf(
		    faults->where + length, sizeof faults->where - length, "\n%s+0x%lx %s",
		    name ? name + 1 : "?",
		    (unsigned long)((uintptr_t)frames[i] - (uintptr_t)info.dli_fbase),
		    info.dli_sname ? info.dli_sname : "");
	}
}

static inline __attribute__((always_inline)) int
judge(enum kind kind, const char *function)
{
	void *frames[STACK + 2];
	int n = backtrace(frames, STACK + 2) - 2; /* without this file's two */
	if (n < 0)
		n = 0;
	uint64_t stack = (stack_hash(frames + 2, n) & ~15ull) | kind;
	uint32_t number = atomic_fetch_add(&faults->count, 1);
	if (number < CALLS_MAX)
		faults->calls[number] = stack;
	if (!faults->nth || (faults->stack && faults->stack != stack))
		return 0;
	if (atomic_fetch_add(&faults->seen, 1) + 1 != faults->nth)
		return 0;
	describe(function, frames + 2, n);
	atomic_store(&faults->reached, 1);
	return 1;
}

/* Does this call fail? errno is kept if not. */
static __attribute__((noinline)) int
fails(enum kind kind, const char *function)
{
	uint32_t wanted = faults && !inside ? atomic_load(&faults->kind) : KIND_NONE;
	if ((wanted != kind && wanted != KIND_ALL) || getpid() != owner)
		return 0;
	int before = errno;
	inside = 1;
	int failed = judge(kind, function);
	inside = 0;
	errno = before;
	return failed;
}

static void *
next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);
	if (!function)
		abort(); /* the library is not linked */
	return function;
}

#define REAL(name)                                                                                 \
	static __typeof__(name) *real;                                                             \
	if (!real)                                                                                 \
	real = (__typeof__(name) *)next(#name)

/* A function that fails with that errno and result, or is the real one. */
#define FAILS(kind, error, result, type, name, parameters, arguments)                              \
	type name parameters;                                                                      \
	type name parameters                                                                       \
	{                                                                                          \
		REAL(name);                                                                        \
		if (fails(kind, #name)) {                                                          \
			errno = error;                                                             \
			return result;                                                             \
		}                                                                                  \
		return real arguments;                                                             \
	}

/* --- files --- */

#define OPENS(name, parameters, arguments, last)                                                   \
	int name parameters;                                                                       \
	int name parameters                                                                        \
	{                                                                                          \
		va_list list;                                                                      \
		va_start(list, last);                                                              \
		mode_t mode = va_arg(list, mode_t); /* of no meaning without O_CREAT */            \
		va_end(list);                                                                      \
		REAL(name);                                                                        \
		if (fails(KIND_OPEN, #name)) {                                                     \
			errno = EMFILE;                                                            \
			return -1;                                                                 \
		}                                                                                  \
		return real arguments;                                                             \
	}

OPENS(open, (const char *path, int flags, ...), (path, flags, mode), flags)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), flags)
OPENS(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), flags)
OPENS(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), flags)
FAILS(KIND_OPEN, EMFILE, -1, int, __open_2, (const char *path, int flags), (path, flags))
FAILS(KIND_OPEN, EMFILE, -1, int, __open64_2, (const char *path, int flags), (path, flags))
FAILS(KIND_OPEN, EMFILE, -1, int, __openat_2, (int folder, const char *path, int flags),
      (folder, path, flags))
FAILS(KIND_OPEN, EMFILE, -1, int, __openat64_2, (int folder, const char *path, int flags),
      (folder, path, flags))
FAILS(KIND_OPEN, EMFILE, NULL, FILE *, fopen, (const char *path, const char *mode), (path, mode))
FAILS(KIND_OPEN, EMFILE, NULL, FILE *, fopen64, (const char *path, const char *mode), (path, mode))
FAILS(KIND_OPEN, EMFILE, NULL, DIR *, opendir, (const char *path), (path))
FAILS(KIND_OPEN, EMFILE, -1, int, mkstemp, (char *path), (path))
FAILS(KIND_OPEN, EMFILE, -1, int, mkostemp, (char *path, int flags), (path, flags))
FAILS(KIND_OPEN, EMFILE, -1, int, memfd_create, (const char *name, unsigned flags), (name, flags))
FAILS(KIND_OPEN, EMFILE, -1, int, inotify_init1, (int flags), (flags))

/* What has no room is a file. A socket and a pipe have other reasons, the peer's end for one. */
static int
is_file(int fd)
{
	struct stat data;
	return faults && !inside && fstat(fd, &data) == 0 && S_ISREG(data.st_mode);
}

/* Bytes that are written before there is no more room; -1: all. */
static inline __attribute__((always_inline)) ssize_t
room(int fd, size_t size, const char *function)
{
	if (!is_file(fd))
		return -1;
	if (fails(KIND_WRITE, function))
		return 0;
	return fails(KIND_SHORT, function) ? (ssize_t)(size / 2) : -1;
}

#define WRITES(name, parameters, whole, half)                                                      \
	ssize_t name parameters;                                                                   \
	ssize_t name parameters                                                                    \
	{                                                                                          \
		REAL(name);                                                                        \
		ssize_t n = room(fd, size, #name);                                                 \
		if (n < 0)                                                                         \
			return real whole;                                                         \
		if (n > 0)                                                                         \
			return real half;                                                          \
		errno = ENOSPC;                                                                    \
		return -1;                                                                         \
	}

WRITES(write, (int fd, const void *bytes, size_t size), (fd, bytes, size), (fd, bytes, (size_t)n))
WRITES(pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at),
       (fd, bytes, (size_t)n, at))
WRITES(pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at),
       (fd, bytes, (size_t)n, at))
FAILS(KIND_WRITE, ENOSPC, -1, int, ftruncate, (int fd, off_t size), (fd, size))
FAILS(KIND_WRITE, ENOSPC, -1, int, ftruncate64, (int fd, off64_t size), (fd, size))
FAILS(KIND_WRITE, ENOSPC, -1, int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size))
FAILS(KIND_FSYNC, EIO, -1, int, fsync, (int fd), (fd))
FAILS(KIND_FSYNC, EIO, -1, int, fdatasync, (int fd), (fd))
FAILS(KIND_FSYNC, EIO, -1, int, syncfs, (int fd), (fd))
FAILS(KIND_RENAME, ENOSPC, -1, int, rename, (const char *from, const char *to), (from, to))
FAILS(KIND_RENAME, ENOSPC, -1, int, renameat,
      (int from_folder, const char *from, int to_folder, const char *to),
      (from_folder, from, to_folder, to))
FAILS(KIND_RENAME, ENOSPC, -1, int, renameat2,
      (int from_folder, const char *from, int to_folder, const char *to, unsigned flags),
      (from_folder, from, to_folder, to, flags))
FAILS(KIND_RENAME, ENOSPC, -1, int, link, (const char *from, const char *to), (from, to))
FAILS(KIND_RENAME, ENOSPC, -1, int, linkat,
      (int from_folder, const char *from, int to_folder, const char *to, int flags),
      (from_folder, from, to_folder, to, flags))
FAILS(KIND_RENAME, ENOSPC, -1, int, symlink, (const char *from, const char *to), (from, to))
FAILS(KIND_RENAME, ENOSPC, -1, int, symlinkat, (const char *from, int folder, const char *to),
      (from, folder, to))
FAILS(KIND_RENAME, ENOSPC, -1, int, mkdir, (const char *path, mode_t mode), (path, mode))
FAILS(KIND_RENAME, ENOSPC, -1, int, mkdirat, (int folder, const char *path, mode_t mode),
      (folder, path, mode))

/* --- processes and connections --- */

FAILS(KIND_FORK, EAGAIN, -1, pid_t, fork, (void), ())
FAILS(KIND_FORK, EAGAIN, EAGAIN, int, posix_spawn,
      (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]),
      (pid, path, actions, attributes, argv, envp))
FAILS(KIND_FORK, EAGAIN, EAGAIN, int, posix_spawnp,
      (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]),
      (pid, path, actions, attributes, argv, envp))
FAILS(KIND_SOCKET, EMFILE, -1, int, socket, (int domain, int type, int protocol),
      (domain, type, protocol))
FAILS(KIND_SOCKET, EMFILE, -1, int, socketpair, (int domain, int type, int protocol, int pair[2]),
      (domain, type, protocol, pair))
FAILS(KIND_SOCKET, EADDRINUSE, -1, int, bind, (int fd, const struct sockaddr *name, socklen_t size),
      (fd, name, size))
FAILS(KIND_SOCKET, EADDRINUSE, -1, int, listen, (int fd, int waiting), (fd, waiting))
FAILS(KIND_SOCKET, EADDRNOTAVAIL, -1, int, connect,
      (int fd, const struct sockaddr *name, socklen_t size), (fd, name, size))
FAILS(KIND_SOCKET, EMFILE, -1, int, accept, (int fd, struct sockaddr *name, socklen_t *size),
      (fd, name, size))
FAILS(KIND_SOCKET, EMFILE, -1, int, accept4,
      (int fd, struct sockaddr *name, socklen_t *size, int flags), (fd, name, size, flags))
FAILS(KIND_SOCKET, EMFILE, -1, int, pipe, (int pair[2]), (pair))
FAILS(KIND_SOCKET, EMFILE, -1, int, pipe2, (int pair[2], int flags), (pair, flags))
FAILS(KIND_SOCKET, ENOBUFS, -1, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
      (fd, message, flags))

/* --- memory --- */

#ifndef __SANITIZE_ADDRESS__ /* which has these itself */
static int
reports_lack(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	for (int i = 0; i < n_reporting; i++)
		if (at >= reporting[i].begin && at < reporting[i].end)
			return 1;
	return 0;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

#define ALLOCATES(name, parameters, arguments)                                                     \
	void *name parameters;                                                                     \
	void *name parameters                                                                      \
	{                                                                                          \
		if (faults && reports_lack(__builtin_return_address(0)) &&                         \
		    fails(KIND_MEMORY, #name)) {                                                   \
			errno = ENOMEM;                                                            \
			return NULL;                                                               \
		}                                                                                  \
		return __libc_##name arguments;                                                    \
	}

ALLOCATES(malloc, (size_t size), (size))
ALLOCATES(calloc, (size_t n, size_t size), (n, size))
ALLOCATES(realloc, (void *old, size_t size), (old, size))
#endif

/* --- libvirt: the real function without an object fails, and leaves its error --- */

#define VIRT(type, name, parameters, good, bad)                                                    \
	type name parameters;                                                                      \
	type name parameters                                                                       \
	{                                                                                          \
		REAL(name);                                                                        \
		return fails(KIND_LIBVIRT, #name) ? real bad : real good;                          \
	}

VIRT(virConnectPtr, virConnectOpen, (const char *uri), (uri), ("fault:///"))
VIRT(int, virConnectRef, (virConnectPtr c), (c), (NULL))
VIRT(int, virConnectIsAlive, (virConnectPtr c), (c), (NULL))
VIRT(int, virConnectListAllDomains, (virConnectPtr c, virDomainPtr **list, unsigned flags),
     (c, list, flags), (NULL, list, flags))
VIRT(int, virConnectRegisterCloseCallback,
     (virConnectPtr c, virConnectCloseFunc fn, void *data, virFreeCallback destroy),
     (c, fn, data, destroy), (NULL, fn, data, destroy))
VIRT(int, virConnectSetKeepAlive, (virConnectPtr c, int interval, unsigned count),
     (c, interval, count), (NULL, interval, count))
VIRT(int, virConnectDomainEventRegisterAny,
     (virConnectPtr c, virDomainPtr d, int id, virConnectDomainEventGenericCallback fn, void *data,
      virFreeCallback destroy),
     (c, d, id, fn, data, destroy), (NULL, d, id, fn, data, destroy))
VIRT(int, virConnectDomainQemuMonitorEventRegister,
     (virConnectPtr c, virDomainPtr d, const char *event,
      virConnectDomainQemuMonitorEventCallback fn, void *data, virFreeCallback destroy,
      unsigned flags),
     (c, d, event, fn, data, destroy, flags), (NULL, d, event, fn, data, destroy, flags))
VIRT(virDomainPtr, virDomainCreateXML, (virConnectPtr c, const char *xml, unsigned flags),
     (c, xml, flags), (NULL, xml, flags))
VIRT(int, virDomainDestroy, (virDomainPtr d), (d), (NULL))
VIRT(unsigned, virDomainGetID, (virDomainPtr d), (d), (NULL))
VIRT(const char *, virDomainGetName, (virDomainPtr d), (d), (NULL))
VIRT(int, virDomainGetUUIDString, (virDomainPtr d, char *text), (d, text), (NULL, text))
VIRT(virDomainPtr, virDomainLookupByName, (virConnectPtr c, const char *name), (c, name),
     (NULL, name))
VIRT(virDomainPtr, virDomainLookupByUUIDString, (virConnectPtr c, const char *uuid), (c, uuid),
     (NULL, uuid))
VIRT(int, virDomainQemuMonitorCommand,
     (virDomainPtr d, const char *command, char **answer, unsigned flags),
     (d, command, answer, flags), (NULL, command, answer, flags))
VIRT(int, virDomainResume, (virDomainPtr d), (d), (NULL))
VIRT(int, virDomainShutdownFlags, (virDomainPtr d, unsigned flags), (d, flags), (NULL, flags))
FAILS(KIND_LIBVIRT, 0, -1, int, virInitialize, (void), ())
FAILS(KIND_LIBVIRT, 0, -1, int, virEventRegisterDefaultImpl, (void), ())

/* --- libssh --- */

#define SSH(error, type, name, parameters, arguments)                                              \
	FAILS(KIND_SSH, ENOMEM, error, type, name, parameters, arguments)

SSH(SSH_ERROR, int, ssh_init, (void), ())
SSH(NULL, ssh_session, ssh_new, (void), ())
SSH(-1, int, ssh_options_set, (ssh_session s, enum ssh_options_e option, const void *value),
    (s, option, value))
SSH(SSH_ERROR, int, ssh_connect, (ssh_session s), (s))
SSH(NULL, ssh_event, ssh_event_new, (void), ())
SSH(SSH_ERROR, int, ssh_event_add_session, (ssh_event e, ssh_session s), (e, s))
SSH(SSH_ERROR, int, ssh_event_dopoll, (ssh_event e, int limit), (e, limit))
SSH(SSH_ERROR, int, ssh_get_server_publickey, (ssh_session s, ssh_key *key), (s, key))
SSH(-1, int, ssh_get_publickey_hash,
    (const ssh_key key, enum ssh_publickey_hash_type type, unsigned char **hash, size_t *length),
    (key, type, hash, length))
SSH(NULL, char *, ssh_get_fingerprint_hash,
    (enum ssh_publickey_hash_type type, unsigned char *hash, size_t length), (type, hash, length))
SSH(SSH_AUTH_ERROR, int, ssh_userauth_publickey,
    (ssh_session s, const char *user, const ssh_key key), (s, user, key))
SSH(NULL, ssh_channel, ssh_channel_new, (ssh_session s), (s))
SSH(SSH_ERROR, int, ssh_channel_open_session, (ssh_channel c), (c))
SSH(SSH_ERROR, int, ssh_channel_request_exec, (ssh_channel c, const char *command), (c, command))
SSH(SSH_ERROR, int, ssh_channel_send_eof, (ssh_channel c), (c))
SSH(SSH_ERROR, int, ssh_channel_write, (ssh_channel c, const void *bytes, uint32_t size),
    (c, bytes, size))
SSH(SSH_ERROR, int, ssh_add_channel_callbacks, (ssh_channel c, ssh_channel_callbacks callbacks),
    (c, callbacks))
SSH(SSH_ERROR, int, ssh_send_keepalive, (ssh_session s), (s))
#if LIBSSH_VERSION_INT >= SSH_VERSION_INT(0, 12, 0)
SSH(SSH_ERROR, int, ssh_pki_generate_key, (enum ssh_keytypes_e type, ssh_pki_ctx how, ssh_key *key),
    (type, how, key))
#else
SSH(SSH_ERROR, int, ssh_pki_generate, (enum ssh_keytypes_e type, int bits, ssh_key *key),
    (type, bits, key))
#endif
SSH(SSH_ERROR, int, ssh_pki_import_privkey_file,
    (const char *path, const char *phrase, ssh_auth_callback fn, void *data, ssh_key *key),
    (path, phrase, fn, data, key))
SSH(SSH_ERROR, int, ssh_pki_import_pubkey_base64,
    (const char *text, enum ssh_keytypes_e type, ssh_key *key), (text, type, key))
SSH(SSH_ERROR, int, ssh_pki_export_pubkey_base64, (const ssh_key key, char **text), (key, text))
SSH(SSH_ERROR, int, ssh_pki_export_privkey_base64,
    (const ssh_key key, const char *phrase, ssh_auth_callback fn, void *data, char **text),
    (key, phrase, fn, data, text))
SSH(SSH_ERROR, int, ssh_known_hosts_parse_line,
    (const char *host, const char *line, struct ssh_knownhosts_entry **entry), (host, line, entry))
