# SPDX-License-Identifier: GPL-3.0-or-later
# make, make check, make install|uninstall [DESTDIR=] [PREFIX=], make demo, make clean; `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
# PREFIX moves only the installed files: configuration and state are in /etc, /var/lib and /run with any PREFIX.
BINDIR   = $(PREFIX)/bin
SBINDIR  = $(PREFIX)/sbin
MANDIR   = $(PREFIX)/share/man
DOCDIR   = $(PREFIX)/share/doc/childhurd
# systemd looks in /usr/lib and in /usr/local/lib for all three.
UNITDIR     = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
# The shells' folders; Debian's zsh has its own below /usr.
BASHDIR  = $(PREFIX)/share/bash-completion/completions
ZSHDIR   = $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
FISHDIR  = $(PREFIX)/share/fish/vendor_completions.d
GUILEDIR = $(PREFIX)/share/childhurd/guile
DATADIR  = $(PREFIX)/share/childhurd
# Programs that only our others run.
LIBEXECDIR = $(PREFIX)/libexec/childhurd

VERSION := 0.2.0
B       ?= build

CC      ?= cc
# Short lines; make V=1 shows the commands.
Q        = $(if $(V),,@)
define say
@$(if $(V),:,printf '  %-5s %s\n' $1 $2)
endef
WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
           -Wwrite-strings -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
CFLAGS  ?= -O2 -g
HARDEN   = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
# As gcc says it by itself, and clang does not.
SANITIZED = $(if $(FUZZING)$(findstring address,$(SANITIZE)),-D__SANITIZE_ADDRESS__=1)
ifneq ($(SANITIZE),)
HARDEN   = -fsanitize=$(SANITIZE) $(SANITIZED) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
B        = build/sanitize
endif
# Within `make fuzz`: clang, its sanitizers, and its fuzzer's main. FUZZING=y builds anything else that way, too.
ifneq ($(FUZZING),)
CC       = clang
CFLAGS   = -O1 -g
HARDEN   = -fsanitize=fuzzer-no-link,address,undefined $(SANITIZED) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
B        = build/fuzz
endif

CTL_PKGS    = glib-2.0 json-glib-1.0
DAEMON_PKGS = $(CTL_PKGS) libvirt libvirt-qemu libssh libxml-2.0 libgcrypt libacl ext2fs e2p com_err sqlite3
IMAGE_PKGS  = $(CTL_PKGS) gio-2.0 libgcrypt libacl libcurl libarchive
PKG_CFLAGS := $(shell pkg-config --cflags $(DAEMON_PKGS) $(IMAGE_PKGS))
CTL_LIBS   := $(shell pkg-config --libs $(CTL_PKGS)) -lm
IMAGE_LIBS := $(shell pkg-config --libs $(IMAGE_PKGS)) -linih -lm
LIBS       := $(shell pkg-config --libs $(DAEMON_PKGS)) -lev -linih -lm
ALL_CFLAGS  = -std=gnu11 $(WARN) $(CFLAGS) $(HARDEN) -I. -I$(B) $(PKG_CFLAGS) -D_GNU_SOURCE \
              -DCHILDHURD_VERSION='"$(VERSION)"' -DG_LOG_DOMAIN='"childhurd"' -pthread
ALL_LDFLAGS = $(LDFLAGS) $(filter -fsanitize%,$(HARDEN)) -pie -Wl,-z,relro -pthread

# Every .c of a module, except a program's main file, goes into the library that the daemon and the tests share.
MAINS    = childhurdd/main.c childhurdd/images/main.c service/ctl/main.c config/keys-man.c
MODULES  = config ssh offload service childhurdd
ROOMS   := $(sort $(patsubst %/,%,$(dir $(shell find $(MODULES) -name '*.[chS]'))))
LIB_SRC  = $(filter-out $(MAINS) $(wildcard service/ctl/*.c),$(wildcard $(ROOMS:%=%/*.c)))
LIB_ASM  = $(wildcard $(ROOMS:%=%/*.S))
LIB_OBJ  = $(LIB_SRC:%.c=$(B)/obj/%.o) $(LIB_ASM:%.S=$(B)/obj/%.o)
CTL_SRC  = $(wildcard service/ctl/*.c service/report/*.c) service/varlink.c service/states.c \
           $(addprefix config/base/,atomic_file.c finding_lines.c guarded.c identity.c io_error.c similar.c streams.c text.c trusted_path.c)
CTL_OBJ  = $(CTL_SRC:%.c=$(B)/obj/%.o) $(B)/obj/service/report/style.o
# A test NAME.c may have its world in NAME_world.c, which is linked with it and is not a test.
WORLDS  := $(sort $(shell find tests/unit -name '*_world.c'))
UNIT_SRC := $(filter-out $(WORLDS),$(sort $(shell find tests/unit -name '*.c')))
UNIT     = $(UNIT_SRC:%.c=$(B)/%)
TOOLS    = $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))
BENCH    = $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))
SOURCES  = $(wildcard $(ROOMS:%=%/*.[ch])) $(shell find tests/unit -name '*.[ch]') $(wildcard tests/bench/*.[ch] tests/fuzz/*.[ch] tests/fuzz/lib/*.[ch] tests/tools/*.[ch] tests/coverage/*.c)

all: $(B)/childhurdd $(B)/childhurdctl $(B)/childhurd-image $(B)/images.ini man units completions

$(B)/childhurdd: $(B)/obj/childhurdd/main.o $(B)/libchildhurd.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@.tmp $^ $(LIBS) && mv $@.tmp $@

$(B)/childhurdctl: $(CTL_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@.tmp $^ $(CTL_LIBS) && mv $@.tmp $@

# The daemon needs neither libcurl nor libarchive.
$(B)/childhurd-image: $(B)/obj/childhurdd/images/main.o $(B)/libchildhurd.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@.tmp $^ $(IMAGE_LIBS) && mv $@.tmp $@

$(B)/images.ini: config/images.ini
	@mkdir -p $(@D)
	@cp $< $@

$(B)/libchildhurd.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -I. -c -o $@ $<
$(B)/obj/service/interface.o: service/org.childhurd.varlink
$(B)/obj/service/report/style.o: service/report/style.css

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# --- manual: the key lists come from the table that the parser uses --------------------------------------------

MANPAGES = $(patsubst docs/%,$(B)/man/%,$(wildcard docs/*.[1578]) $(patsubst %.in,%,$(wildcard docs/*.[1578].in)))

man: $(MANPAGES)

$(B)/keys-man: $(B)/obj/config/keys-man.o $(B)/libchildhurd.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(B)/man/%: docs/%
	@mkdir -p $(@D)
	cp $< $@

$(B)/man/%: docs/%.in $(B)/keys-man
	@mkdir -p $(@D)
	$(B)/keys-man > $@.keys
	sed -e '/^@KEYS@$$/{r $@.keys' -e 'd}' $< > $@.tmp
	rm $@.keys
	mv $@.tmp $@

# The interface is its own description.
$(B)/man/org.childhurd.7: docs/org.childhurd.7.in service/org.childhurd.varlink
	@mkdir -p $(@D)
	sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/" service/org.childhurd.varlink > $@.idl
	sed -e '/^@INTERFACE@$$/{r $@.idl' -e 'd}' $< > $@.tmp
	rm $@.idl
	mv $@.tmp $@

# --- completions: made from the table of verbs ----------------------------------------------------------------

COMPLETIONS = $(addprefix $(B)/completions/,childhurdctl _childhurdctl childhurdctl.fish)

completions: $(COMPLETIONS)

$(B)/completions/childhurdctl: SHELL_NAME = bash
$(B)/completions/_childhurdctl: SHELL_NAME = zsh
$(B)/completions/childhurdctl.fish: SHELL_NAME = fish
$(COMPLETIONS): $(B)/childhurdctl
	@mkdir -p $(@D)
	$(call say,MAKE,$@)
	$(Q)$(B)/childhurdctl completion $(SHELL_NAME) > $@.tmp && mv $@.tmp $@

# --- tests ---------------------------------------------------------------------------------------------------

# A C test prints TAP with an option, a script by itself. TESTS= chooses: make check TESTS=tests/unit/childhurdd/qemu/disk.c
TESTS ?= tests/unit tests/integration
CHOSEN = $(foreach t,$(TESTS),$(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(if $(wildcard $(t)/.),$(filter-out $(WORLDS),$(sort $(shell find $(t) -name '*.c' -o -name '*.t'))),$(t))))

$(B)/tests/%: $(B)/obj/tests/%.o $(B)/libchildhurd.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS) $(IMAGE_LIBS)
$(WORLDS:%_world.c=$(B)/%): $(B)/%: $(B)/obj/%_world.o
# The whole daemon except its hypervisor, and the whole daemon in which calls fail.
$(B)/tests/bench/fakes $(B)/tests/tools/fails: $(B)/obj/childhurdd/main.o
# It has the names of functions of libraries, which are to be linked all the same.
$(B)/tests/tools/fails: ALL_LDFLAGS += -Wl,--no-as-needed
.PRECIOUS: $(B)/obj/%.o

# Fuzzers: tests/fuzz/NAME.c. Any compiler builds them with tests/fuzz/lib/run.c, which feeds them files; in `make fuzz` clang's
# library has the main function.
FUZZERS   ?= $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ       = $(FUZZERS:%=$(B)/tests/fuzz/%)
FUZZ_LIB   = $(patsubst %.c,$(B)/obj/%.o,$(if $(FUZZING),$(filter-out %/run.c,$(wildcard tests/fuzz/lib/*.c)),$(wildcard tests/fuzz/lib/*.c)))
$(FUZZ): $(FUZZ_LIB)
# The verbs of childhurdctl; the fuzzer has the main function.
$(B)/tests/fuzz/ctl: $(patsubst %.c,$(B)/obj/%.o,$(filter-out service/ctl/main.c,$(wildcard service/ctl/*.c)))
$(B)/tests/fuzz/%: ALL_LDFLAGS += $(if $(FUZZING),-fsanitize=fuzzer)

tests: $(UNIT) $(TOOLS) $(BENCH) $(FUZZ)

# Reported before anything is built.
ifneq ($(filter check valgrind,$(MAKECMDGOALS)),)
$(foreach t,$(TESTS),$(if $(wildcard $(t)),,$(error no such test: $(t))))
endif

# This many at a time: most tests wait for guests most of the time.
JOBS ?= 2

# Skipped tests are reported at the end.
check: all $(UNIT) $(TOOLS) $(FUZZ)
	@rm -f $(B)/skipped
	@CHILDHURD_BUILD=$(CURDIR)/$(B) CHILDHURD_SKIPPED=$(CURDIR)/$(B)/skipped \
	  prove -j$(JOBS) --timer --failures --exec tests/run-one $(CHOSEN); status=$$?; \
	  if [ -e $(B)/skipped ]; then echo "Skipped:"; sed 's/^/  /' $(B)/skipped; fi; exit $$status

# Compiler, package and tests in other releases of Debian than the host's: CHILDHURD_RELEASES, CHILDHURD_RELEASE_TESTS. See
# docs/hacking.md for the time it takes.
check-releases: all
	CHILDHURD_BUILD=$(CURDIR)/$(B) prove --verbose --timer --exec tests/run-one tests/releases

# All that docs/specification.md promises, measured. SHORT=1: what each change has to pass; UPDATE=1: the results into that page;
# NAMES='list restart': lines whose names begin so.
bench: all $(BENCH) $(if $(SHORT),,$(UNIT) $(TOOLS))
	@CHILDHURD_BUILD=$(CURDIR)/$(B) tests/bench/all $(if $(SHORT),-s) $(if $(UPDATE),-u) $(NAMES)

# Rounds of kill -9 over guests in mixed states, ROUNDS=1000 of them; with HOURS=1, random operations for so long on a daemon that must
# not grow. CHILDHURD_SEED=N repeats a run.
soak: all
	@CHILDHURD_BUILD=$(CURDIR)/$(B) ROUNDS='$(ROUNDS)' HOURS='$(HOURS)' tests/soak

# All calls that can fail, one at a time: hours. FAULTS=... chooses kinds: make faults FAULTS=open,fork
faults: all $(TOOLS)
	CHILDHURD_BUILD=$(CURDIR)/$(B) CHILDHURD_WALK=all CHILDHURD_WALK_KINDS=$(FAULTS) \
	  prove --verbose --timer --exec tests/run-one tests/integration/faults.t tests/faults

# What can be asked of any Hurd, asked of an image: IMAGE=FILE, GUEST='KEY = VALUE; ...', LIMIT=30min.
check-image: all
	@CHILDHURD_BUILD=$(CURDIR)/$(B) tests/check-image "$$IMAGE"

check-unit: $(UNIT)
	$(MAKE) check TESTS=tests/unit SANITIZE=$(SANITIZE)

# The unit tests under valgrind, or those of TESTS. Debian 12's does not know pidfd_open, by which some tests watch their children,
# and reserves descriptors for itself. A program that runs itself again, as for a relay, would run valgrind without itself. A process
# that is forked and becomes another user ends with valgrind's status. In one whose calls are made to fail, valgrind's own would. Tests
# that measure would measure valgrind, and those that try something very often take minutes: the sanitizers see them.
NO_VALGRIND = $(addprefix $(B)/tests/unit/childhurdd/,qemu/kvm_probe system/child system/descriptors system/sandbox qemu/disk hird/hird \
                qemu/libvirt_root qemu/user system/relay world/door guest/lifecycle) $(B)/tests/unit/offload/slots

NO_VALGRIND_TESTS = /control-clients/without-descriptors-accepting-pauses /control-clients/a-pipeline-may-be-long \
  /config/a-small-configuration-costs-little /config/a-long-value-stays-whole /config/a-thousand-guests-and-no-more \
  /config/lines-may-be-long /config/a-guest-is-kept-as-text /config/pairs/ports.ini "/control/events-of-one-guest-cost-no-other-guest's" \
  /control-clients/a-slow-follower-is-told-what-it-lost /control-clients/who-never-reads-is-cut-off /inject/a-write-that-is-interrupted-leaves-it-unclean \
  /signing/whoever-swaps-links-in-gets-nothing /signing/a-list-has-limits \
  /signing/whatever-call-fails-the-list-stays-whole /ssh-keys/making-a-pair-may-fail-at-any-call \
  /history-memory/a-write-without-memory-is-made-later \
  /history-thin/the-oldest-goes-when-the-file-is-full /history-thin/room-is-given-back /history-reading/a-long-answer-comes-in-pieces \
  /strip/its-size-is-bounded /pages/their-size-is-bounded \
  /secret-root/whatever-call-fails-is-an-error-and-the-next-start-repairs-it /secret-root/a-first-start-may-fail-at-any-call \
  /coordinator/an-ordinary-users-daemon-shares-a-copy /coordinator/a-copy-that-cannot-be-made-is-an-error

valgrind: $(UNIT)
	CHILDHURD_WRAP='valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp' \
	  G_SLICE=always-malloc \
	  prove -j$(JOBS) --timer --failures --exec tests/run-one $(filter-out $(NO_VALGRIND),$(filter $(UNIT),$(CHOSEN))) \
	    :: $(addprefix -s ,$(NO_VALGRIND_TESTS))

# What the tests run, by gcov: the unit tests; ALL=1: then the others; TESTS=...: those instead. DOCS=1 puts the table into
# docs/hacking.md. Without optimization, so that each line is one. The table also comes if a test fails.
COVERAGE      = build/coverage
COVERAGE_MAKE = $(MAKE) --no-print-directory B=$(COVERAGE) SANITIZE= CFLAGS='-O0 -g' HARDEN='--coverage -fprofile-update=atomic'
FLUSH         = $(COVERAGE)/obj/tests/coverage/flush.o
COVERED       = $(if $(filter command line environment,$(origin TESTS)),$(TESTS),tests/unit)
covered       = $(COVERAGE_MAKE) LDFLAGS='$(FLUSH) --coverage'

coverage:
	$(COVERAGE_MAKE) $(FLUSH)
	$(covered) all tests
	tests/coverage/report clear $(COVERAGE)
	status=0; \
	  $(covered) check TESTS='$(COVERED)' || status=1; \
	  tests/coverage/report take $(COVERAGE) $(if $(filter tests/unit,$(COVERED)),unit,these); \
	  $(if $(ALL),$(covered) check TESTS=tests/integration || status=1; tests/coverage/report take $(COVERAGE) all;) \
	  tests/coverage/report table $(COVERAGE); \
	  $(if $(DOCS),tests/coverage/report docs $(COVERAGE) docs/hacking.md;) \
	  exit $$status

# Fuzzers need clang: make fuzz FUZZ_SECONDS=3600 FUZZERS="config varlink". They go on with what earlier runs found in
# $CHILDHURD_CACHE/fuzz. `make fuzz-keep` puts the inputs that reach most into tests/fuzz/corpora.
FUZZ_SECONDS ?= 20

fuzz fuzz-keep:
	@case '$(FUZZ_SECONDS)' in '' | *[!0-9]*) echo 'FUZZ_SECONDS=$(FUZZ_SECONDS): is no number of seconds' >&2; exit 1; esac
	+@$(MAKE) --no-print-directory FUZZING=y FUZZERS='$(FUZZERS)' $(FUZZERS:%=build/fuzz/tests/fuzz/%)
	@tests/fuzz/fuzz $(if $(filter fuzz-keep,$@),--keep) --seconds $(FUZZ_SECONDS) --jobs $(JOBS) $(FUZZERS)

# --- analysers -----------------------------------------------------------------------------------------------

# Options for clang-tidy. The version is a string, and its quotes would not survive a shell within a shell.
TIDY_FLAGS = -std=gnu11 -I. $(PKG_CFLAGS) -D_GNU_SOURCE -DCHILDHURD_VERSION=__FILE__ -DG_LOG_DOMAIN=__FILE__

format:
	clang-format -i $(SOURCES)

# In parts, of which `make -j2 lint` runs two at a time.
LINT = house functions format cppcheck tidy shellcheck
lint: $(LINT:%=lint-%)

lint-house lint-functions: lint-%:
	tests/lint/$*

lint-format:
	clang-format --dry-run --Werror $(SOURCES)

lint-cppcheck:
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr \
	  --suppressions-list=.cppcheck -I. --library=posix --library=gtk -j2 $(MODULES)

lint-tidy:
	printf '%s\n' $(sort $(LIB_SRC) $(MAINS) $(CTL_SRC)) | xargs -P 2 -n 4 sh -c \
	  'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- $(TIDY_FLAGS) 2>/dev/null' sh

lint-shellcheck:
	shellcheck -x bootstrap .ci/run $(shell find tests service -type f -exec awk 'FNR == 1 && /^#!\/bin\/(ba)?sh/ { print FILENAME }' {} +)

# --- installation --------------------------------------------------------------------------------------------

# Units have the paths of the programs, which depend on PREFIX: checked each time, written if they have changed.
UNITS = $(patsubst service/units/%,$(B)/units$(PREFIX)/%,$(wildcard service/units/*.service service/units/*.timer))

units: $(UNITS)

$(B)/units$(PREFIX)/%: service/units/% FORCE
	@mkdir -p $(@D)
	@sed -e 's|/usr/sbin/childhurd|$(SBINDIR)/childhurd|g' -e 's|/usr/bin/childhurd|$(BINDIR)/childhurd|g' $< > $@.$$$$ && \
	  if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi

# The installed files, each as FILE:MODE:PLACE, for install and uninstall. Folders that are only ours are removed too.
under = $(foreach f,$1,$f:$2:$3/$(notdir $f))
INSTALLED = \
  $(call under,$(B)/childhurdd,755,$(SBINDIR)) \
  $(call under,$(B)/childhurdctl,755,$(BINDIR)) \
  $(call under,$(B)/childhurd-image,755,$(LIBEXECDIR)) \
  $(call under,config/images.ini,644,$(DATADIR)) \
  $(call under,$(UNITS),644,$(UNITDIR)) \
  $(B)/completions/childhurdctl:644:$(BASHDIR)/childhurdctl \
  $(B)/completions/_childhurdctl:644:$(ZSHDIR)/_childhurdctl \
  $(B)/completions/childhurdctl.fish:644:$(FISHDIR)/childhurdctl.fish \
  service/units/childhurd.sysusers:644:$(SYSUSERSDIR)/childhurd.conf \
  service/units/childhurd.tmpfiles:644:$(TMPFILESDIR)/childhurd.conf \
  $(call under,$(wildcard service/guile/*.scm service/shepherd/*.scm),644,$(GUILEDIR)) \
  $(call under,README.md NEWS COPYING docs/childhurd.ini.example,644,$(DOCDIR)) \
  $(call under,$(wildcard docs/*.md docs/*.svg docs/*.png docs/grafana.json),644,$(DOCDIR)/docs) \
  $(foreach page,$(MANPAGES),$(page):644:$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
OUR_DIRS = $(DOCDIR)/docs $(DOCDIR) $(GUILEDIR) $(DATADIR) $(LIBEXECDIR)

install: all
	@set -e; for entry in $(INSTALLED); do \
	  file=$${entry%%:*} rest=$${entry#*:}; \
	  $(if $(V),echo install -m $${rest%%:*} $$file $(DESTDIR)$${rest#*:};) \
	  install -D -m $${rest%%:*} $$file $(DESTDIR)$${rest#*:}; done

uninstall:
	rm -f $(foreach entry,$(INSTALLED),$(DESTDIR)$(lastword $(subst :, ,$(entry))))
	for folder in $(OUR_DIRS); do \
	  [ ! -d $(DESTDIR)$$folder ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$$folder; done

# --- Debian package ------------------------------------------------------------------------------------------

# Debian's tools need service/debian/ at the top, and leave files beside it, so they get a copy of the files named here.
DEB_TREE = Makefile COPYING README.md NEWS docs $(MODULES)
DEB      = $(B)/deb/childhurd-$(VERSION)
# The options of this make are not for theirs.
DEB_ENV  = env $(foreach v,MAKEFLAGS MAKEOVERRIDES MFLAGS B V Q CC CFLAGS LDFLAGS PREFIX DESTDIR SANITIZE VERSION,-u $v)

deb:
	@command -v dpkg-buildpackage >/dev/null || { echo 'make deb: dpkg-buildpackage is missing: apt-get install dpkg-dev' >&2; exit 1; }
	@dpkg-checkbuilddeps service/debian/control || { echo 'make deb: apt-get build-dep ./service installs what is missing' >&2; exit 1; }
	@version=$$(dpkg-parsechangelog -l service/debian/changelog -S Version) && { [ "$$version" = "$(VERSION)" ] || \
	  { echo "make deb: service/debian/changelog has version $$version, the Makefile $(VERSION); make them equal" >&2; exit 1; }; }
	$(call say,DEB,$(DEB))
	@rm -rf $(B)/deb && mkdir -p $(DEB)
	@cp -R $(DEB_TREE) $(DEB)
	@mv $(DEB)/service/debian $(DEB)/debian
	$(Q)cd $(DEB) && $(DEB_ENV) dpkg-buildpackage -b -us -uc >../log 2>&1 || \
	  { tail -n 40 ../log; echo 'make deb: the whole log is $(B)/deb/log'; exit 1; } >&2
	@mv $(B)/deb/*.deb $(B)
	@ls $(B)/childhurd_$(VERSION)_*.deb

demo: all
	tests/demo

clean:
	rm -rf build

help:
	@echo 'all tests check check-unit valgrind lint format        build and test; SANITIZE=address,undefined for a sanitizer build'
	@echo 'bench soak faults fuzz fuzz-keep coverage              what is promised, and what is not expected; docs/hacking.md'
	@echo 'check-releases check-image                             other releases of Debian; an image of yours'
	@echo 'install uninstall deb demo clean'

.PHONY: all man units completions tests check check-unit check-image check-releases bench soak faults valgrind coverage fuzz fuzz-keep \
  format lint $(LINT:%=lint-%) install uninstall deb demo clean help FORCE
