# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Common to the recipes, which `make` starts with CACHE (where things are kept), GUEST (its name) and RESULT (the file
# or folder to make) set. Leaves $work, an empty folder that is gone when the recipe ends, however it ends.
set -eu
umask 022
export LC_ALL=C TZ=UTC0

# The same packages give the same bytes: what is made here is all of one moment, by which the tools' clocks are set, too.
export SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000

say() { echo "guest $GUEST: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# lack WORDS...: ends with a message when Debian's archive does not give what is wanted. sid changes by the day and now and
# then lacks a package: status 3, by which a test knows that this is nobody's fault, and is skipped.
lack() {
	say "$*"
	[ "$suite" != sid ] || exit 3
	exit 1
}

# need COMMAND PACKAGE: ends with a message when a command is missing.
need() {
	command -v "$1" > /dev/null 2>&1 || PATH=$PATH:/usr/sbin:/sbin command -v "$1" > /dev/null ||
		die "$1 is missing: apt install $2"
}

end() {
	[ $? = 0 ] || say 'not made, and nothing half-made is left'
	cd / && rm -rf "$work"
}

# One at a time, as two would write the same files; who had to wait finds the work done.
begin() {
	[ "$(id -u)" = 0 ] || die 'making a guest takes root: its files are to belong to root'
	need flock util-linux
	PATH=$PATH:/usr/sbin:/sbin
	mkdir -p "$CACHE/guests" "$CACHE/downloads" || die "cannot write to $CACHE"
	exec 9> "$CACHE/lock"
	flock -n 9 || {
		say 'waiting for another build to end'
		flock 9
	}
	[ ! -e "$RESULT" ] || exit 0
	rm -rf "$CACHE"/guests/.work.*
	work=$CACHE/guests/.work.$$
	mkdir "$work"
	: > "$work/begun"
	trap end EXIT
	trap 'exit 1' HUP INT TERM
}

# The archive the host itself uses; a host without one gets Debian's own.
mirror() {
	# shellcheck disable=SC2016 # the dollars are apt's
	found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2> /dev/null |
		awk '$3 == "main" && ($2 == "bookworm" || $2 == "stable" || $2 == "oldstable") { print $1; exit }')
	echo "${CHILDHURD_MIRROR:-${found:-http://deb.debian.org/debian}}"
}

# debian SUITE VARIANT PACKAGES OPTION...: a Debian of that release, for amd64, in the folder $work/root,
# without documentation; VARIANT and OPTION are mmdebstrap's. What the host's apt is told of proxies goes for it, too.
debian() {
	need mmdebstrap mmdebstrap
	suite=$1 variant=$2 packages=$3 archive=$(mirror)
	shift 3
	{
		apt-config dump Acquire | grep -i proxy || true
		echo 'Acquire::Check-Valid-Until "false";'
		echo 'Acquire::Retries "3";'
		echo 'Acquire::Languages "none";'
		echo 'APT::Install-Recommends "false";'
	} > "$work/apt.conf"
	say "making it of Debian $suite from $archive"
	mmdebstrap --quiet --variant="$variant" --mode=root --architectures=amd64 --aptopt="$work/apt.conf" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='force-unsafe-io' "$@" --include="$packages" "$suite" "$work/root" "$archive" > "$work/log" 2>&1 ||
		not_had
}

not_had() {
	why=$(grep -E '^E:|Failed to fetch|Could not' "$work/log" | head -n 1)
	grep -qE 'Failed to fetch|Unable to locate|Could not|no installation candidate|unmet dependencies' "$work/log" &&
		lack "Debian $suite cannot be had from $archive: $why"
	die "mmdebstrap cannot make it: $why"
}

# use_suite SUITE ARCHITECTURE: from now on apt is that architecture's and knows only SUITE of Debian; the
# host's own apt is not touched. Proxies and the like (Acquire) are the host's.
use_suite() {
	suite=$1 architecture=$2
	apt=$CACHE/apt/$suite-$architecture
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
	: > "$apt/status"
	echo "deb [arch=$architecture signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(APT_CONFIG='' mirror) $suite main" \
		> "$apt/sources.list"
	{
		APT_CONFIG='' apt-config dump Acquire
		cat <<-EOF
			Dir::State "$apt/state";
			Dir::State::status "$apt/status";
			Dir::Cache "$apt/cache";
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "/dev/null";
			Dir::Etc::sourcelist "$apt/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::preferencesparts "/dev/null";
			APT::Architecture "$architecture";
			APT::Architectures { "$architecture"; };
			APT::Sandbox::User "root";
			Acquire::Check-Valid-Until "false";
			Acquire::Languages "none";
			Acquire::Retries "3";
		EOF
	} > "$apt/apt.conf"
	export APT_CONFIG="$apt/apt.conf"
	[ -n "$(find "$apt/fresh" -mmin -1440 2> /dev/null)" ] || update_suite ||
		[ -e "$apt/fresh" ] || lack "no package list of Debian $suite from $(mirror_of "$apt")"
}

mirror_of() { cut -d' ' -f4 "$1/sources.list"; }

update_suite() {
	say "reading the package list of Debian $suite (2 s)"
	if apt-get -qq update > "$work/apt.log" 2>&1 && [ -n "$(find "$apt/state/lists" -name '*_Packages*')" ]; then
		touch "$apt/fresh"
	else
		say "the package list cannot be had: $(tail -n 1 "$work/apt.log")"
		return 1
	fi
}

# fetch PACKAGE...: leaves a link PACKAGE.deb in $work/debs for each; what was fetched once is used again.
fetch() {
	mkdir -p "$work/debs"
	fetch_all "$@" || { update_suite && fetch_all "$@"; } ||
		lack "Debian $suite does not give $missing: $(grep '^E:' "$work/apt.log" | head -n 1)"
}

fetch_all() {
	missing=$*
	apt-cache show --no-all-versions "$@" 2> "$work/apt.log" |
		awk '/^Package: / { name = $2 } /^Version: / { sub(":", "%3a", $2); print name, $2 }' > "$work/versions"
	(cd "$CACHE/downloads" && apt-get -qq download "$@") > "$work/apt.log" 2>&1 || return 1
	while read -r missing version; do
		set -- "$CACHE/downloads/${missing}_${version}_$architecture.deb"
		[ -e "$1" ] || set -- "$CACHE/downloads/${missing}_${version}_all.deb"
		[ -e "$1" ] || return 1
		ln -sf "$1" "$work/debs/$missing.deb"
	done < "$work/versions"
}

# unpack PACKAGE FOLDER [PATTERN...]: the package's files, or those that match, without installing anything.
unpack() {
	package=$work/debs/$1.deb folder=$2
	shift 2
	mkdir -p "$folder"
	dpkg-deb --fsys-tarfile "$package" |
		tar -x --keep-directory-symlink --wildcards -C "$folder" "$@" || die "cannot unpack $package"
}

# copy FOLDER TO [OPTION...]: what the recipe has for a guest, root's whoever's it is here, and as old as all of it.
copy() {
	from=$1 to=$2
	shift 2
	tar -c --sort=name --owner=0 --group=0 --mtime=@$SOURCE_DATE_EPOCH "$@" -C "$from" . | tar -x --keep-directory-symlink -C "$to"
}

# all_made_then FOLDER: what was made since the recipe began is from its one moment.
all_made_then() { find "$1" -newer "$work/begun" -exec touch -h -d @$SOURCE_DATE_EPOCH {} +; }

# finish FILE-OR-FOLDER: puts what was made in its place.
finish() {
	mv -T "$1" "$RESULT"
	say "ready: $RESULT"
}
