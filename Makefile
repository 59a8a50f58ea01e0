# SPDX-License-Identifier: GPL-3.0-or-later
# make, make check, make install [DESTDIR=] [PREFIX=], make demo, make clean; `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
# /usr and /usr/local keep their state where the FHS says; another prefix keeps to itself only what it installs.
BINDIR   = $(PREFIX)/bin
SBINDIR  = $(PREFIX)/sbin
MANDIR   = $(PREFIX)/share/man
DOCDIR   = $(PREFIX)/share/doc/childhurd

VERSION := 0.1.0
B       ?= build

CC      ?= cc
WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
           -Wwrite-strings -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
CFLAGS  ?= -O2 -g
HARDEN   = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ifneq ($(SANITIZE),)
HARDEN   = -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
B        = build/sanitize
endif

CTL_PKGS    = glib-2.0 json-glib-1.0
DAEMON_PKGS = $(CTL_PKGS) libvirt libvirt-qemu libssh libxml-2.0
PKG_CFLAGS := $(shell pkg-config --cflags $(DAEMON_PKGS))
CTL_LIBS   := $(shell pkg-config --libs $(CTL_PKGS))
LIBS       := $(shell pkg-config --libs $(DAEMON_PKGS)) -lev -linih
ALL_CFLAGS  = -std=gnu11 $(WARN) $(CFLAGS) $(HARDEN) -I. -I$(B) $(PKG_CFLAGS) -D_GNU_SOURCE \
              -DCHILDHURD_VERSION='"$(VERSION)"' -DG_LOG_DOMAIN='"childhurd"' -pthread
ALL_LDFLAGS = $(LDFLAGS) $(filter -fsanitize%,$(HARDEN)) -pie -Wl,-z,relro -pthread

# Every .c of a module but a program's main file goes into the library that the daemon and the tests share.
MAINS    = childhurdd/main.c service/childhurdctl.c config/keys-man.c
MODULES  = config ssh offload service childhurdd
LIB_SRC  = $(filter-out $(MAINS) $(wildcard service/ctl*.c),$(wildcard $(MODULES:%=%/*.c)))
LIB_ASM  = $(wildcard $(MODULES:%=%/*.S))
LIB_OBJ  = $(LIB_SRC:%.c=$(B)/%.o) $(LIB_ASM:%.S=$(B)/%.o)
CTL_SRC  = service/childhurdctl.c $(wildcard service/ctl*.c) service/varlink.c
CTL_OBJ  = $(CTL_SRC:%.c=$(B)/%.o)
UNIT     = $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
BENCH    = $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))
SOURCES  = $(wildcard $(MODULES:%=%/*.[ch]) tests/unit/*.[ch] tests/bench/*.[ch] tests/fuzz/*.[ch])

all: $(B)/childhurdd $(B)/childhurdctl man

$(B)/childhurdd: $(B)/childhurdd/main.o $(B)/libchildhurd.a
	$(CC) $(ALL_LDFLAGS) -o $@.tmp $^ $(LIBS) && mv $@.tmp $@
