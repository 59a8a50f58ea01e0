/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One transfer with libcurl. Redirects are followed here and not by libcurl, because where they may
 * lead depends on where they come from. A file is continued as RFC 9110 has it (14.2 Range, 13.1.5
 * If-Range): if the server has another file by now, it sends all of it with status 200.
 */
#include "childhurdd/images/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "childhurdd/images/room.h"
#include "childhurdd/images/show.h"
#include "childhurdd/images/stage.h"

#define SAY_INTERVAL  (G_USEC_PER_SEC / 5)
#define STATUS_OK     200
#define STATUS_PART   206
#define STATUS_RANGE  416
#define STATUS_SLOWER 429

/* A transfer while it runs. */
struct transfer {
	const struct fetch *fetch;
	CURL *curl;
	char *url; /* where the last redirect led */
	char *validator;
	char *location;			/* of a redirect */
	gint64 range_from, range_total; /* of Content-Range; -1: none */
	gint64 at;			/* bytes of the file; -1: none has come yet */
	gint64 total;			/* -1: unknown */
	gint64 said;			/* monotonic µs */
	gint64 moved;			/* monotonic µs: when the last byte came */
	curl_off_t seen;		/* bytes then */
	gboolean stalled;
	GError *error; /* why a callback has ended it */
	char words[CURL_ERROR_SIZE];
};

/* --- addresses --- */

static gboolean
is_this_host(GUri *uri)
{
	const char *host = g_uri_get_host(uri);
	g_autoptr(GInetAddress) address = host ? g_inet_address_new_from_string(host) : NULL;
	return g_strcmp0(host, "localhost") == 0 ||
	       (address && g_inet_address_get_is_loopback(address));
}

static gboolean
refuse(GError **error, const char *url, const char *why)
{
	g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "%s: %s", url, why);
	return FALSE;
}

gboolean
fetch_may(const char *url, const char *before, gboolean plain, GError **error)
{
	g_autoptr(GUri) uri =
	    strlen(url) <= FETCH_URL_MAX ? g_uri_parse(url, G_URI_FLAGS_NONE, NULL) : NULL;
	const char *scheme = uri ? g_uri_get_scheme(uri) : "", *why;
	gboolean http = !strcmp(scheme, "http");
	g_autofree char *from = before ? g_strdup_printf("%s leads there; ", before) : g_strdup("");
	if (!uri || strpbrk(url, " \t\"'<>\\^`{|}"))
		why = "is not an address, as https://HOST/FILE.img.tar.xz";
	else if (!http && strcmp(scheme, "https") != 0)
		why = "only https is fetched";
	else if (!g_uri_get_host(uri) || !*g_uri_get_host(uri))
		why = "has no host, as https://HOST/FILE.img.tar.xz";
	/* What came by https so far must not be changed on the way from there on. */
	else if (http && before && g_str_has_prefix(before, "https:"))
		why = "anybody on the way could change what http brings, so it is not followed";
	else if (http && !plain && !is_this_host(uri))
		why = "anybody on the way could change what http brings; use https, or give the "
		      "file's digest with --sha512";
	else
		return TRUE;
	g_autofree char *text = g_strconcat(from, why, NULL);
	return refuse(error, url, text);
}

/* --- what comes --- */

/* The value of a header's line, if it is the one of that name. The caller frees. */
static char *
header_value(const char *line, gsize length, const char *name)
{
	gsize n = strlen(name);
	if (length <= n || line[n] != ':' || g_ascii_strncasecmp(line, name, n))
		return NULL;
	return g_strstrip(g_strndup(line + n + 1, length - n - 1));
}

static gboolean
is_plain_text(const char *text)
{
	gsize n = strlen(text);
	for (gsize i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return FALSE;
	return n > 0 && n <= FETCH_VALIDATOR_MAX;
}

static size_t
on_header(char *line, size_t size, size_t n, void *data)
{
	struct transfer *t = data;
	gsize length = size * n;
	g_autofree char *etag = header_value(line, length, "ETag"),
			*date = header_value(line, length, "Last-Modified"),
			*range = header_value(line, length, "Content-Range"),
			*location = header_value(line, length, "Location");
	if (length > 5 && !strncmp(line, "HTTP/", 5)) {
		t->range_from = t->range_total = -1;
		g_clear_pointer(&t->validator, g_free);
		g_clear_pointer(&t->location, g_free);
	}
	if (location && !t->location)
		t->location = g_steal_pointer(&location);
	/* It has no space (RFC 9110, section 8.8.3). A weak one (W/) does not promise the same
	 * bytes. */
	if (etag && *etag == '"' && !strchr(etag, ' ') && is_plain_text(etag)) {
		g_free(t->validator);
		t->validator = g_steal_pointer(&etag);
	} else if (date && !t->validator && is_plain_text(date)) {
		t->validator = g_steal_pointer(&date);
	}
	if (range && g_str_has_prefix(range, "bytes ")) {
		const char *slash = strchr(range, '/');
		if (g_ascii_isdigit(range[6]))
			t->range_from = g_ascii_strtoll(range + 6, NULL, 10);
		if (slash && g_ascii_isdigit(slash[1]))
			t->range_total = g_ascii_strtoll(slash + 1, NULL, 10);
	}
	return length;
}

static gboolean give_up(struct transfer *t, enum stage_error code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
give_up(struct transfer *t, enum stage_error code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (!t->error) {
		t->error = g_error_new_valist(STAGE_ERROR, (int)code, format, arguments);
		g_prefix_error(&t->error, "%s: ", t->url);
	}
	va_end(arguments);
	return FALSE;
}

/* For the rest of the file (length unknown: up to at), and what is made of it. */
static gboolean
check_room(struct transfer *t, gint64 at)
{
	gint64 size = MAX(t->total, at);
	GError *why = NULL;
	if (room_check(STAGE_FILE(0), size - t->at + size * t->fetch->share,
		       "the file and the image made of it take", &why))
		return TRUE;
	give_up(t, why->code, "%s", why->message);
	g_error_free(why);
	return FALSE;
}

/* What there is of the file cannot be continued: drop it, so that another try gets all of it. */
static gboolean
start_anew(struct transfer *t)
{
	if (t->fetch->have == 0 || ftruncate(STAGE_FILE(0), 0) < 0)
		return give_up(t, STAGE_ERROR_FAILED,
			       "the server sends another part than the one it was asked for");
	stage_say("anew");
	return give_up(t, STAGE_ERROR_BROKEN,
		       "the server does not continue the file; it is fetched from its beginning");
}

/* A file that has too much will not be right later. */
static gboolean
fail_large(struct transfer *t)
{
	g_autofree char *most = show_size(t->fetch->most), *is = show_size(MAX(t->total, 0));
	if (ftruncate(STAGE_FILE(0), 0) < 0)
		return give_up(t, STAGE_ERROR_FAILED, "%s", g_strerror(errno));
	return give_up(t, STAGE_ERROR_FAILED, "has %s, and may have %s", t->total < 0 ? "more" : is,
		       most);
}

static gboolean
check_size(struct transfer *t)
{
	return t->total > t->fetch->most ? fail_large(t) : check_room(t, t->at);
}

/* Before the first byte of the file: where does it belong? */
static gboolean
begin(struct transfer *t)
{
	long status = 0;
	curl_off_t length = -1;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (status != STATUS_OK && status != STATUS_PART)
		return FALSE; /* a message, for people */
	t->at = status == STATUS_PART ? t->fetch->have : 0;
	t->total = length < 0 ? -1 : t->at + length;
	if (status == STATUS_PART && t->range_from != t->fetch->have)
		return start_anew(t);
	if (!check_size(t))
		return FALSE;
	if (ftruncate(STAGE_FILE(0), t->at) < 0)
		return give_up(t, STAGE_ERROR_FAILED, "%s", g_strerror(errno));
	stage_say("total %" G_GINT64_FORMAT, t->total);
	stage_say("validator %s", t->validator ? t->validator : "");
	stage_say("from %" G_GINT64_FORMAT, t->at);
	return TRUE;
}

static void
say_at(struct transfer *t)
{
	gint64 now = g_get_monotonic_time();
	if (now - t->said < SAY_INTERVAL)
		return;
	t->said = now;
	stage_say("at %" G_GINT64_FORMAT, t->at);
}

static size_t
on_bytes(char *bytes, size_t size, size_t n, void *data)
{
	struct transfer *t = data;
	gsize length = size * n, done = 0;
	if (t->at < 0 && !begin(t))
		return CURL_WRITEFUNC_ERROR; /* of a message for people nothing is read */
	if (t->at + (gint64)length > t->fetch->most) {
		fail_large(t);
		return CURL_WRITEFUNC_ERROR;
	}
	/* Others fill the file system, too, and a server need not say how much will come. */
	if (!check_room(t, t->at + (gint64)length))
		return CURL_WRITEFUNC_ERROR;
	while (done < length) {
		ssize_t put = pwrite(STAGE_FILE(0), bytes + done, length - done, t->at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			give_up(t,
				errno == ENOSPC || errno == EDQUOT ? STAGE_ERROR_ROOM
								   : STAGE_ERROR_FAILED,
				"cannot be written: %s", g_strerror(errno));
			return CURL_WRITEFUNC_ERROR;
		}
		done += (gsize)put;
		t->at += put;
	}
	say_at(t);
	return length;
}

/* libcurl's own limit (CURLOPT_LOW_SPEED_TIME) is for a mean. */
static int
on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t out_total, curl_off_t out)
{
	struct transfer *t = data;
	gint64 time = g_get_monotonic_time();
	if (now != t->seen || !t->moved)
		t->moved = time;
	t->seen = now;
	t->stalled = (double)(time - t->moved) > t->fetch->stall * G_USEC_PER_SEC;
	return t->stalled;
}

/* --- a request --- */

static struct curl_slist *
set_request(struct transfer *t)
{
	const struct fetch *fetch = t->fetch;
	CURL *curl = t->curl;
	struct curl_slist *headers = NULL;
	long connect = (long)MIN(FETCH_CONNECT_LIMIT * 1000., fetch->stall * 1000);
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, t->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "childhurd/" CHILDHURD_VERSION);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, MAX(connect, 1));
	/* A name server that never answers would otherwise be waited for at the end. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->words);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	if (fetch->have > 0) {
		g_autofree char *range = g_strdup_printf("%" G_GINT64_FORMAT "-", fetch->have);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
	if (fetch->have > 0 && fetch->validator) {
		g_autofree char *condition = g_strconcat("If-Range: ", fetch->validator, NULL);
		headers = curl_slist_append(NULL, condition);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	}
	t->at = -1;
	t->total = -1;
	t->moved = 0;
	t->seen = 0;
	*t->words = '\0';
	return headers;
}

/* What a failed transfer means. */
static gboolean
judge_failure(struct transfer *t, CURLcode code)
{
	const char *words = *t->words ? t->words : curl_easy_strerror(code);
	if (t->error)
		return FALSE;
	/* Another try helps only if there has been a connection, and something came of it. */
	if (t->stalled)
		return give_up(t, t->at < 0 ? STAGE_ERROR_FAILED : STAGE_ERROR_BROKEN,
			       "nothing came for %.3g s", t->fetch->stall);
	gboolean broken = code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
			  code == CURLE_GOT_NOTHING || code == CURLE_HTTP2_STREAM ||
			  code == CURLE_SEND_ERROR;
	return give_up(t, broken ? STAGE_ERROR_BROKEN : STAGE_ERROR_FAILED, "%s", words);
}

static gboolean
judge_status(struct transfer *t, long status)
{
	if (status == STATUS_OK || status == STATUS_PART)
		return t->at >= 0 || begin(t); /* an empty file has no bytes to begin with */
	/* Nothing is left to send. */
	if (status == STATUS_RANGE && t->fetch->have > 0 && t->range_total == t->fetch->have) {
		stage_say("total %" G_GINT64_FORMAT, t->range_total);
		return TRUE;
	}
	if (status == STATUS_RANGE && t->fetch->have > 0)
		return start_anew(t);
	return give_up(
	    t, status >= 500 || status == STATUS_SLOWER ? STAGE_ERROR_BROKEN : STAGE_ERROR_FAILED,
	    "the server says %ld%s", status,
	    status == 404   ? " (not found); is there another one in its folder?"
	    : status >= 500 ? " (its own fault)"
			    : "");
}

/* One request. *next: where the server sends us; the caller frees. */
static gboolean
request(struct transfer *t, char **next)
{
	struct curl_slist *headers = set_request(t);
	long status = 0;
	CURLcode code = curl_easy_perform(t->curl);
	curl_slist_free_all(headers);
	*next = NULL;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	gboolean message = code == CURLE_WRITE_ERROR && !t->error && t->at < 0;
	if (code != CURLE_OK && !message)
		return judge_failure(t, code);
	if (status / 100 != 3 || !t->location)
		return judge_status(t, status);
	*next = g_uri_resolve_relative(t->url, t->location, G_URI_FLAGS_NONE, NULL);
	return *next ||
	       give_up(t, STAGE_ERROR_FAILED, "leads to \"%s\", which is no address", t->location);
}

static gboolean
follow(struct transfer *t)
{
	for (int i = 0; i <= FETCH_REDIRECTS_MAX; i++) {
		g_autofree char *next = NULL;
		if (!request(t, &next))
			return FALSE;
		if (!next)
			return TRUE;
		if (!fetch_may(next, t->url, t->fetch->plain, &t->error))
			return FALSE;
		stage_say("moved %s", next);
		g_free(t->url);
		t->url = g_steal_pointer(&next);
	}
	return give_up(t, STAGE_ERROR_FAILED, "%d redirects, and no file", FETCH_REDIRECTS_MAX);
}

gboolean
fetch_work(void *data, GError **error)
{
	const struct fetch *fetch = data;
	struct transfer t = {.fetch = fetch, .url = g_strdup(fetch->url)};
	curl_global_init(CURL_GLOBAL_DEFAULT);
	t.curl = curl_easy_init();
	gboolean good =
	    t.curl ? follow(&t) : give_up(&t, STAGE_ERROR_FAILED, "libcurl cannot be initialized");
	if (good && t.at >= 0)
		stage_say("at %" G_GINT64_FORMAT, t.at);
	if (!good)
		g_propagate_error(error, g_steal_pointer(&t.error));
	curl_easy_cleanup(t.curl);
	g_free(t.url);
	g_free(t.validator);
	g_free(t.location);
	return good;
}
