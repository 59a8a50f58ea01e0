/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Varlink messages (https://varlink.org/Method-Call).
 *
 * A peer's bytes are checked twice. First as bytes: length, encoding and nesting, because
 * json-glib's parser recurses, and a hundred thousand brackets would crash the process. Then as
 * JSON: only the members of Varlink count, each with its type.
 */
#include "service/varlink.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "config/base/text.h"

G_DEFINE_QUARK(varlink - error - quark, varlink_error)

void
varlink_buffer_init(struct varlink_buffer *buffer, gsize limit)
{
	*buffer = (struct varlink_buffer){.bytes = g_byte_array_new(), .limit = limit};
}

void
varlink_buffer_clear(struct varlink_buffer *buffer)
{
	g_clear_pointer(&buffer->bytes, g_byte_array_unref);
	buffer->taken = buffer->scanned = 0;
}

gsize
varlink_buffer_pending(const struct varlink_buffer *buffer)
{
	return buffer->bytes->len - buffer->taken;
}

const char *
varlink_buffer_rest(const struct varlink_buffer *buffer, gsize *n)
{
	*n = varlink_buffer_pending(buffer);
	return (const char *)buffer->bytes->data + buffer->taken;
}

void
varlink_buffer_append(struct varlink_buffer *buffer, const void *bytes, gsize n)
{
	if (buffer->taken) {
		g_byte_array_remove_range(buffer->bytes, 0, (guint)buffer->taken);
		buffer->scanned -= buffer->taken;
		buffer->taken = 0;
	}
	if (n)
		g_byte_array_append(buffer->bytes, bytes, (guint)n);
}

const char *
varlink_buffer_take(struct varlink_buffer *buffer, GError **error)
{
	if (!buffer->bytes->len)
		return NULL;
	const guint8 *start = buffer->bytes->data + buffer->taken;
	const guint8 *end =
	    memchr(buffer->bytes->data + buffer->scanned, 0, buffer->bytes->len - buffer->scanned);
	gsize length = end ? (gsize)(end - start) : varlink_buffer_pending(buffer);
	if (length > buffer->limit) {
		g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_TOO_LONG,
			    "a message of more than %" G_GSIZE_FORMAT " bytes", buffer->limit);
		return NULL;
	}
	if (!end) {
		buffer->scanned = buffer->bytes->len;
		return NULL;
	}
	buffer->taken += length + 1;
	buffer->scanned = buffer->taken;
	return (const char *)start;
}

/* Append the JSON number that begins at text; return the rest of text. */
static const char *
add_number(GString *out, const char *text)
{
	gsize length = strspn(text, "+-.0123456789eE");
	g_autofree char *number = g_strndup(text, length);
	char shorter[G_ASCII_DTOSTR_BUF_SIZE] = "";
	double value = g_ascii_strtod(number, NULL);
	/* A whole number is exact as it is. */
	if (strpbrk(number, ".e") &&
	    g_ascii_strtod(g_ascii_formatd(shorter, sizeof shorter, "%.15g", value), NULL) ==
		value) {
		g_string_append(out, shorter);
		/* A float stays a float. */
		if (!strpbrk(shorter, ".e"))
			g_string_append(out, ".0");
	} else
		g_string_append(out, number);
	return text + length;
}

/* Can a character begin with that byte that acts on a terminal? */
static gboolean
may_act(char byte)
{
	guchar c = (guchar)byte;
	return c < 0x20 || c == 0x7f || c == 0xc2 || c == 0xd8 || c == 0xe2;
}

/* Append the JSON string that begins at text; return the rest of text. json-glib escapes not all
 * that it must, which is U+001F, and nothing else that acts on a terminal. */
static const char *
add_string(GString *out, const char *text)
{
	const char *from = text++;
	while (*text && *text != '"') {
		gunichar c = may_act(*text) ? g_utf8_get_char_validated(text, -1) : 0;
		if (!c || c == (gunichar)-1 || c == (gunichar)-2 || !text_acts(c)) {
			text += *text == '\\' && text[1] ? 2 : 1;
			continue;
		}
		g_string_append_len(out, from, text - from);
		g_string_append_printf(out, "\\u%04x", c);
		from = text = g_utf8_next_char(text);
	}
	text += *text == '"';
	g_string_append_len(out, from, text - from);
	return text;
}

/* json-glib writes 17 digits of each number: 0.792 would be 0.79200000000000004. */
char *
varlink_json(JsonNode *node)
{
	g_autofree char *text = json_to_string(node, FALSE);
	GString *out = g_string_sized_new(strlen(text));
	for (const char *p = text; *p;) {
		if (*p == '-' || g_ascii_isdigit(*p))
			p = add_number(out, p);
		else if (*p == '"')
			p = add_string(out, p);
		else
			g_string_append_c(out, *p++);
	}
	return g_string_free(out, FALSE);
}

/* The text of object; takes ownership of it. */
static char *
to_text(JsonObject *object)
{
	JsonNode *node = json_node_init_object(json_node_alloc(), object);
	char *text = varlink_json(node);
	json_node_unref(node);
	json_object_unref(object);
	return text;
}

static char *
message_text(const char *key, const char *name, JsonObject *parameters, const char *flag)
{
	JsonObject *message = json_object_new();
	if (key)
		json_object_set_string_member(message, key, name);
	json_object_set_object_member(message, "parameters",
				      parameters ? parameters : json_object_new());
	if (flag)
		json_object_set_boolean_member(message, flag, TRUE);
	return to_text(message);
}

char *
varlink_call(const char *method, JsonObject *parameters, gboolean more)
{
	return message_text("method", method, parameters, more ? "more" : NULL);
}

char *
varlink_upgrade(const char *method, JsonObject *parameters)
{
	return message_text("method", method, parameters, "upgrade");
}

char *
varlink_reply(JsonObject *parameters, gboolean continues)
{
	return message_text(NULL, NULL, parameters, continues ? "continues" : NULL);
}

char *
varlink_reply_text(const char *parameters, gboolean continues)
{
	return g_strdup_printf("{\"parameters\":%s%s}", parameters,
			       continues ? ",\"continues\":true" : "");
}

char *
varlink_error(const char *error, JsonObject *parameters)
{
	return message_text("error", error, parameters, NULL);
}

/* The four hexadecimal digits of a \u escape at p, or -1. */
static int
escaped_unit(const char *p)
{
	int unit = 0;
	if (p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		if (!g_ascii_isxdigit(p[i]))
			return -1;
		unit = unit << 4 | g_ascii_xdigit_value(p[i]);
	}
	return unit;
}

/* The end of the escape at p; NULL: it is invalid. Half a surrogate pair aborts json-glib's scanner
 * (an assertion in decode_utf16_surrogate_pair), and U+0000 would cut a C string. */
static const char *
skip_escape(const char *p)
{
	if (p[1] != 'u')
		return p[1] && strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
	int unit = escaped_unit(p);
	if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return NULL;
	if (unit < 0xd800 || unit > 0xdbff)
		return p + 6;
	int low = escaped_unit(p + 6);
	return low >= 0xdc00 && low <= 0xdfff ? p + 12 : NULL;
}

/* The byte after the string that begins at p; NULL: it does not end, or is not valid. */
static const char *
skip_string(const char *p)
{
	for (p++; p && *p && *p != '"';)
		p = *p == '\\' ? skip_escape(p) : p + 1;
	return p && *p ? p + 1 : NULL;
}

/* The byte after the number that begins at p (RFC 8259, section 6); NULL: it is none, or larger
 * than a double or a 64-bit integer is: json-glib would make infinity of it, which cannot be said
 * again, or another number. */
static const char *
skip_number(const char *p)
{
	static const char digits[] = "0123456789";
	const char *begin = p;
	gboolean whole = TRUE;
	p += *p == '-';
	gsize n = strspn(p, digits);
	if (!n || (n > 1 && *p == '0'))
		return NULL;
	p += n;
	if (*p == '.') {
		whole = FALSE;
		n = strspn(++p, digits);
		p += n;
	}
	if (n && (*p == 'e' || *p == 'E')) {
		whole = FALSE;
		p += p[1] == '+' || p[1] == '-' ? 2 : 1;
		n = strspn(p, digits);
		p += n;
	}
	errno = 0;
	double value =
	    whole ? (double)g_ascii_strtoll(begin, NULL, 10) : g_ascii_strtod(begin, NULL);
	return n && !g_ascii_isalnum(*p) && isfinite(value) && !(whole && errno) ? p : NULL;
}

/*
 * May json-glib get text? Only strings, numbers and, outside of them, JSON's characters pass.
 * json-glib also knows comments and assignments, and a comment with a quotation mark would hide
 * brackets from the count.
 */
static gboolean
check_text(const char *text, GError **error)
{
	guint depth = 0;
	gboolean ended = FALSE; /* json-glib would go on after the first value */
	for (const char *p = text; *p;) {
		gboolean string = *p == '"', number = *p == '-' || g_ascii_isdigit(*p);
		const char *next = string ? skip_string(p) : number ? skip_number(p) : p + 1;
		if (!next ||
		    (!string && !number && !g_ascii_isalpha(*p) && !strchr(" \t\r\n{}[]:,", *p))) {
			g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX,
				    "not JSON: %s at byte %td",
				    string   ? "a bad string"
				    : number ? "a bad or too large number"
					     : "a stray character",
				    p - text);
			return FALSE;
		}
		if (ended && !strchr(" \t\r\n", *p)) {
			g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX,
				    "not JSON: there is something after the message, at byte %td",
				    p - text);
			return FALSE;
		}
		if (!depth && !strchr(" \t\r\n{[", *p)) { /* a value that it would leak */
			g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX,
				    "not JSON: there is something before the message, at byte %td",
				    p - text);
			return FALSE;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && depth)
			ended = --depth == 0;
		if (depth > VARLINK_DEPTH_MAX) {
			g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX,
				    "objects and arrays nested more than %d deep",
				    VARLINK_DEPTH_MAX);
			return FALSE;
		}
		p = next;
	}
	return TRUE;
}

static gboolean
bad_member(const char *name, const char *wanted, GError **error)
{
	g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_MESSAGE, "\"%s\" is not %s", name, wanted);
	return FALSE;
}

static gboolean
take_string(JsonObject *object, const char *name, char **value, GError **error)
{
	JsonNode *node = json_object_get_member(object, name);
	if (!node || JSON_NODE_HOLDS_NULL(node))
		return TRUE;
	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
		return bad_member(name, "a string", error);
	*value = json_node_dup_string(node);
	return TRUE;
}

static gboolean
take_flag(JsonObject *object, const char *name, gboolean *value, GError **error)
{
	JsonNode *node = json_object_get_member(object, name);
	if (!node || JSON_NODE_HOLDS_NULL(node))
		return TRUE;
	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
		return bad_member(name, "true or false", error);
	*value = json_node_get_boolean(node);
	return TRUE;
}

static gboolean
take_parameters(JsonObject *object, JsonObject **value, GError **error)
{
	JsonNode *node = json_object_get_member(object, "parameters");
	if (!node || JSON_NODE_HOLDS_NULL(node))
		*value = json_object_new();
	else if (JSON_NODE_HOLDS_OBJECT(node))
		*value = json_node_dup_object(node);
	else
		return bad_member("parameters", "an object", error);
	return TRUE;
}

static struct varlink_message *
message_from(JsonObject *object, GError **error)
{
	struct varlink_message *m = g_new0(struct varlink_message, 1);
	if (!take_string(object, "method", &m->method, error) ||
	    !take_string(object, "error", &m->error, error) ||
	    !take_parameters(object, &m->parameters, error) ||
	    !take_flag(object, "more", &m->more, error) ||
	    !take_flag(object, "oneway", &m->oneway, error) ||
	    !take_flag(object, "upgrade", &m->upgrade, error) ||
	    !take_flag(object, "continues", &m->continues, error)) {
		varlink_message_free(m);
		return NULL;
	}
	if (m->method && m->error) {
		g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_MESSAGE,
			    "both a call (\"method\") and an error");
		varlink_message_free(m);
		return NULL;
	}
	return m;
}

struct varlink_message *
varlink_parse(const char *text, GError **error)
{
	if (!g_utf8_validate(text, -1, NULL)) {
		g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX, "not UTF-8");
		return NULL;
	}
	if (!check_text(text, error))
		return NULL;
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	g_autoptr(GError) why = NULL;
	if (!json_parser_load_from_data(parser, text, -1, &why)) {
		g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_SYNTAX, "not JSON: %s",
			    why->message);
		return NULL;
	}
	JsonNode *root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		g_set_error(error, VARLINK_ERROR, VARLINK_ERROR_MESSAGE, "not a JSON object");
		return NULL;
	}
	return message_from(json_node_get_object(root), error);
}

void
varlink_message_free(struct varlink_message *message)
{
	if (!message)
		return;
	g_free(message->method);
	g_free(message->error);
	g_clear_pointer(&message->parameters, json_object_unref);
	g_free(message);
}
