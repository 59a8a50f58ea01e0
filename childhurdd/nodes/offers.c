/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each value is checked by its type, its length and its letters, before it is stored. host_name and
 * private_key are not even looked at. A fuzzer calls this, tests/fuzz/offers.c.
 */
#include "childhurdd/nodes/offers.h"

#include <math.h>
#include <string.h>

#include "config/keys.h"
#include "config/value.h"
#include "offload/signing_key.h"
#include "service/varlink.h"

#define NAME_MAX_BYTES 40 /* as of the guests of this host, and of accounts: */
#define ACCOUNT_MAX    32
#define HOST_KEY_MAX   4096 /* bytes; an RSA key of 16384 bits has 2800 */
#define PORT_MAX       65535
#define COUNT_MAX      1000000
#define SPEED_LEAST    0.0005 /* an asleep guest's is a little below what can be configured */
#define FACTOR_MOST    1000
#define PARALLEL_MOST  64
#define LETTERS	       G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS
#define EXCERPT	       40 /* bytes of a wrong value in a message */

G_DEFINE_QUARK(offers - error - quark, offers_error)

/* What is being read, for messages. */
struct place {
	const char *guest; /* NULL: the list itself */
	const char *member;
};

static gboolean refuse(GError **error, const struct place *place, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
refuse(GError **error, const struct place *place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, OFFERS_ERROR, OFFERS_ERROR_REFUSED, "%s%s%s: %s",
		    place->guest ? place->guest : "", place->guest ? ": " : "", place->member,
		    what);
	return FALSE;
}

static gboolean
refuse_value(GError **error, const struct place *place, const char *value, const char *right)
{
	g_autofree char *start = g_strndup(value, EXCERPT);
	g_autofree char *quoted = value_quote(start);
	return refuse(error, place, "%s is not %s", quoted, right);
}

/* --- values --- */

/* A value of this type. NULL: it is missing, null, or of another type, which is an error. */
static JsonNode *
value_of(JsonObject *object, struct place *place, const char *member, GType type, gboolean optional,
	 gboolean *good, GError **error)
{
	JsonNode *node = json_object_get_member(object, member);
	place->member = member;
	*good = TRUE;
	if (optional && (!node || JSON_NODE_HOLDS_NULL(node)))
		return NULL;
	GType is =
	    node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
	if (is == type || (type == G_TYPE_DOUBLE && is == G_TYPE_INT64))
		return node;
	*good = refuse(error, place, "is missing, or not a %s",
		       type == G_TYPE_STRING ? "string" : "number");
	return NULL;
}

static gboolean
get_integer(JsonObject *object, struct place *place, const char *member, gint64 least, gint64 most,
	    gint64 *value, GError **error)
{
	gboolean good, optional = *value < 0;
	JsonNode *node = value_of(object, place, member, G_TYPE_INT64, optional, &good, error);
	if (!node)
		return good;
	gint64 n = json_node_get_int(node);
	if (n < least || n > most)
		return refuse(error, place,
			      "%" G_GINT64_FORMAT " is not from %" G_GINT64_FORMAT
			      " to %" G_GINT64_FORMAT,
			      n, least, most);
	*value = n;
	return TRUE;
}

static gboolean
get_real(JsonObject *object, struct place *place, const char *member, double least, double most,
	 double *value, GError **error)
{
	gboolean good, optional = isnan(*value);
	JsonNode *node = value_of(object, place, member, G_TYPE_DOUBLE, optional, &good, error);
	if (!node)
		return good;
	double n = json_node_get_double(node);
	if (!(n >= least && n <= most))
		return refuse(error, place, "%g is not from %g to %g", n, least, most);
	*value = n;
	return TRUE;
}

static gboolean
is_word(const char *text, const char *first, const char *letters, gsize most)
{
	return *text && strchr(first, *text) && strspn(text, letters) == strlen(text) &&
	       strlen(text) <= most;
}

static gboolean
get_word(JsonObject *object, struct place *place, const char *member, const char *first,
	 const char *letters, gsize most, const char **value, GError **error)
{
	gboolean good;
	JsonNode *node = value_of(object, place, member, G_TYPE_STRING, FALSE, &good, error);
	if (!node)
		return good;
	*value = json_node_get_string(node);
	return is_word(*value, first, letters, most) ||
	       refuse_value(error, place, *value, "a name");
}

static gboolean
is_feature(const char *text)
{
	return is_word(text, LETTERS "_", LETTERS "-_.+:@", OFFERS_WORD_MAX);
}

/* Of the Hurd alone: with another one, a node would build this host's own programs. */
static gboolean
is_system(const char *text)
{
	return is_feature(text) && g_str_has_suffix(text, "-gnu");
}

/* "TYPE BASE64", as the configuration takes it, and no more than that. */
static gboolean
is_host_key(const char *text)
{
	struct config_node node = {0};
	const struct key *key = key_find("host-key", KEY_NODE);
	if (strlen(text) > HOST_KEY_MAX)
		return FALSE;
	g_autofree char *wrong = value_set(key, text, "/", &node);
	const char *blob = wrong ? NULL : strchr(node.host_key, ' ');
	gboolean good = blob && !strchr(blob + 1, ' ') && !strcmp(node.host_key, text);
	value_clear(key, &node);
	return good;
}

static gboolean
get_words(JsonObject *object, struct place *place, const char *member, guint least,
	  gboolean (*is_good)(const char *text), const char *right, const char *const **words,
	  GError **error)
{
	JsonNode *node = json_object_get_member(object, member);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	place->member = member;
	JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	guint n = array ? json_array_get_length(array) : 0;
	if (!array || n < least || n > OFFERS_WORDS_MAX)
		return refuse(error, place, "is not an array of %u to %d strings", least,
			      OFFERS_WORDS_MAX);
	for (guint i = 0; i < n; i++) {
		JsonNode *element = json_array_get_element(array, i);
		if (!JSON_NODE_HOLDS_VALUE(element) ||
		    json_node_get_value_type(element) != G_TYPE_STRING)
			return refuse(error, place, "is not an array of strings");
		const char *word = json_node_get_string(element);
		if (!is_good(word))
			return refuse_value(error, place, word, right);
		g_strv_builder_add(builder, word);
	}
	*words = (const char *const *)g_strv_builder_end(builder);
	return TRUE;
}

/* --- a guest --- */

static void
guest_clear(void *data)
{
	struct published_guest *guest = data;
	g_free((char *)guest->name);
	g_free((char *)guest->user);
	g_free((char *)guest->signing_key);
	g_strfreev((char **)guest->host_keys);
	g_strfreev((char **)guest->systems);
	g_strfreev((char **)guest->features);
}

static gboolean
get_signing_key(JsonObject *object, struct place *place, char **value, GError **error)
{
	gboolean good;
	JsonNode *node = value_of(object, place, "signing_key", G_TYPE_STRING, TRUE, &good, error);
	if (!node)
		return good;
	const char *text = json_node_get_string(node);
	if (strlen(text) > SIGNING_KEY_MAX || !signing_is_key(text))
		return refuse(error, place, "is not a public signing key as Guix makes it");
	*value = g_strdup(text);
	return TRUE;
}

static gboolean
guest_read(const char *node, JsonObject *object, struct place *place, struct published_guest *guest,
	   GError **error)
{
	const char *name = NULL, *user = NULL;
	gint64 port = 0, parallel = 0;
	if (!get_word(object, place, "name", LETTERS, LETTERS "-_.", NAME_MAX_BYTES, &name, error))
		return FALSE;
	place->guest = name;
	guest->name = g_strdup_printf("%s/%s", node, name);
	if (!get_integer(object, place, "port", 1, PORT_MAX, &port, error) ||
	    !get_word(object, place, "user", LETTERS "_", LETTERS "-_.", ACCOUNT_MAX, &user,
		      error) ||
	    !get_words(object, place, "host_keys", 1, is_host_key, "TYPE BASE64, a public key",
		       &guest->host_keys, error) ||
	    !get_words(object, place, "systems", 1, is_system, "a system of the Hurd",
		       &guest->systems, error) ||
	    !get_words(object, place, "features", 0, is_feature, "a feature", &guest->features,
		       error) ||
	    !get_integer(object, place, "parallel_builds", 1, PARALLEL_MOST, &parallel, error) ||
	    !get_real(object, place, "speed", SPEED_LEAST, FACTOR_MOST, &guest->speed, error) ||
	    !get_real(object, place, "overload_threshold", 0.01, FACTOR_MOST,
		      &guest->overload_threshold, error) ||
	    !get_signing_key(object, place, (char **)&guest->signing_key, error))
		return FALSE;
	guest->port = (int)port;
	guest->parallel_builds = (int)parallel;
	guest->user = g_strdup(user);
	return TRUE;
}

/* --- the list --- */

/* What the elements of an array become. */
struct reading {
	struct offers *offers;
	const char *node;
	enum published_as as; /* of guests */
};

static gboolean
offer_read(const struct reading *reading, JsonObject *object, struct place *place, GError **error)
{
	struct published_guest guest = {.as = reading->as};
	gboolean good = guest_read(reading->node, object, place, &guest, error);
	g_array_append_val(reading->offers->guests, guest); /* which frees it in any case */
	return good;
}

static void
hold_clear(void *data)
{
	g_free(((struct offers_hold *)data)->guest);
}

static gboolean
hold_read(const struct reading *reading, JsonObject *object, struct place *place, GError **error)
{
	const char *name = NULL;
	gint64 number = 0, port = 0, parallel = 0;
	if (!get_word(object, place, "name", LETTERS, LETTERS "-_.", NAME_MAX_BYTES, &name, error))
		return FALSE;
	place->guest = name;
	if (!get_integer(object, place, "number", 0, G_MAXINT64, &number, error) ||
	    !get_integer(object, place, "port", 1, PORT_MAX, &port, error) ||
	    !get_integer(object, place, "parallel_builds", 1, PARALLEL_MOST, &parallel, error))
		return FALSE;
	const struct offers_hold hold = {g_strdup(name), number, (int)port, (int)parallel};
	g_array_append_val(reading->offers->held, hold);
	return TRUE;
}

static gboolean
list_read(const struct reading *reading, JsonObject *object, const char *member, gboolean optional,
	  gboolean (*read)(const struct reading *reading, JsonObject *element, struct place *place,
			   GError **error),
	  GError **error)
{
	JsonNode *list = json_object_get_member(object, member);
	struct place place = {NULL, member};
	if (optional && (!list || JSON_NODE_HOLDS_NULL(list)))
		return TRUE;
	if (!list || !JSON_NODE_HOLDS_ARRAY(list))
		return refuse(error, &place, "is missing, or not an array");
	JsonArray *array = json_node_get_array(list);
	if (json_array_get_length(array) + reading->offers->guests->len > OFFERS_GUESTS_MAX)
		return refuse(error, &place, "has more than %d guests", OFFERS_GUESTS_MAX);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonNode *element = json_array_get_element(array, i);
		place = (struct place){NULL, member};
		if (!JSON_NODE_HOLDS_OBJECT(element))
			return refuse(error, &place, "has something that is not an object");
		if (!read(reading, json_node_get_object(element), &place, error))
			return FALSE;
	}
	return TRUE;
}

/* Two guests of one name or port would be mistaken for each other. */
static gboolean
all_differ(const struct offers *offers, GError **error)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) ports = g_hash_table_new(NULL, NULL);
	for (guint i = 0; i < offers->guests->len; i++) {
		const struct published_guest *guest =
		    &g_array_index(offers->guests, struct published_guest, i);
		const struct place place = {strchr(guest->name, '/') + 1, "port"};
		const struct published_guest *other =
		    g_hash_table_lookup(ports, GINT_TO_POINTER(guest->port));
		if (!g_hash_table_add(names, (void *)guest->name))
			return refuse(error, &place, "there are two guests of that name");
		if (other)
			return refuse(error, &place,
				      "%d is that of %s, too; give each guest of the node a port "
				      "of its own",
				      guest->port, strchr(other->name, '/') + 1);
		g_hash_table_insert(ports, GINT_TO_POINTER(guest->port), (void *)guest);
	}
	return TRUE;
}

static gboolean
rest_read(struct offers *offers, JsonObject *object, GError **error)
{
	struct place place = {0};
	gboolean good;
	JsonNode *version = value_of(object, &place, "version", G_TYPE_STRING, TRUE, &good, error);
	if (!good)
		return FALSE;
	if (version &&
	    !is_word(json_node_get_string(version), LETTERS, LETTERS "-_.+~", OFFERS_WORD_MAX))
		return refuse_value(error, &place, json_node_get_string(version), "a version");
	offers->version = version ? g_strdup(json_node_get_string(version)) : NULL;
	return get_real(object, &place, "time", 0, 1e12, &offers->time, error) &&
	       get_integer(object, &place, "builds", 0, COUNT_MAX, &offers->builds, error) &&
	       get_integer(object, &place, "guests", 0, COUNT_MAX, &offers->present, error);
}

struct offers *
offers_parse(const char *node, JsonObject *parameters, GError **error)
{
	struct offers *offers = g_atomic_rc_box_new0(struct offers);
	offers->guests = g_array_new(FALSE, TRUE, sizeof(struct published_guest));
	g_array_set_clear_func(offers->guests, guest_clear);
	offers->held = g_array_new(FALSE, TRUE, sizeof(struct offers_hold));
	g_array_set_clear_func(offers->held, hold_clear);
	offers->time = NAN;
	offers->builds = offers->present = -1;
	struct reading reading = {offers, node, PUBLISHED_READY};
	offers->reports = json_object_has_member(parameters, "held");
	gboolean good = list_read(&reading, parameters, "held", TRUE, hold_read, error) &&
			list_read(&reading, parameters, "machines", FALSE, offer_read, error);
	offers->ready = offers->guests->len;
	reading.as = PUBLISHED_COMING;
	if (good && list_read(&reading, parameters, "coming", TRUE, offer_read, error) &&
	    rest_read(offers, parameters, error) && all_differ(offers, error))
		return offers;
	offers_unref(offers);
	return NULL;
}

struct offers *
offers_ref(struct offers *offers)
{
	return g_atomic_rc_box_acquire(offers);
}

static void
offers_clear(void *data)
{
	struct offers *offers = data;
	g_array_unref(offers->guests);
	g_array_unref(offers->held);
	g_free(offers->version);
}

void
offers_unref(struct offers *offers)
{
	if (offers)
		g_atomic_rc_box_release_full(offers, offers_clear);
}

/* --- comparing and keeping --- */

static gboolean
strings_equal(const char *const *a, const char *const *b)
{
	return g_strv_equal(a, b);
}

static gboolean
guest_equal(const struct published_guest *a, const struct published_guest *b)
{
	return !strcmp(a->name, b->name) && a->port == b->port && !strcmp(a->user, b->user) &&
	       strings_equal(a->host_keys, b->host_keys) && strings_equal(a->systems, b->systems) &&
	       strings_equal(a->features, b->features) &&
	       a->parallel_builds == b->parallel_builds && !(a->speed < b->speed) &&
	       !(a->speed > b->speed) && !(a->overload_threshold < b->overload_threshold) &&
	       !(a->overload_threshold > b->overload_threshold) &&
	       !g_strcmp0(a->signing_key, b->signing_key) && a->as == b->as;
}

gboolean
offers_equal(const struct offers *a, const struct offers *b)
{
	guint n = a ? a->guests->len : 0;
	if (n != (b ? b->guests->len : 0))
		return FALSE;
	for (guint i = 0; i < n; i++)
		if (!guest_equal(&g_array_index(a->guests, struct published_guest, i),
				 &g_array_index(b->guests, struct published_guest, i)))
			return FALSE;
	return TRUE;
}

static JsonArray *
strings_json(const char *const *strings)
{
	JsonArray *array = json_array_new();
	for (; *strings; strings++)
		json_array_add_string_element(array, *strings);
	return array;
}

static JsonObject *
guest_json(const struct published_guest *guest)
{
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "name", strchr(guest->name, '/') + 1);
	json_object_set_int_member(o, "port", guest->port);
	json_object_set_string_member(o, "user", guest->user);
	json_object_set_array_member(o, "host_keys", strings_json(guest->host_keys));
	json_object_set_array_member(o, "systems", strings_json(guest->systems));
	json_object_set_array_member(o, "features", strings_json(guest->features));
	json_object_set_int_member(o, "parallel_builds", guest->parallel_builds);
	json_object_set_double_member(o, "speed", guest->speed);
	json_object_set_double_member(o, "overload_threshold", guest->overload_threshold);
	return o;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
	const struct published_guest *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

char *
offers_remember(const struct offers *offers)
{
	g_autoptr(GPtrArray) guests = g_ptr_array_new();
	for (guint i = 0; i < offers->guests->len; i++)
		g_ptr_array_add(guests, &g_array_index(offers->guests, struct published_guest, i));
	g_ptr_array_sort(guests, by_name);
	JsonArray *coming = json_array_new();
	for (guint i = 0; i < guests->len; i++)
		json_array_add_object_element(coming, guest_json(g_ptr_array_index(guests, i)));
	g_autoptr(JsonObject) all = json_object_new();
	json_object_set_array_member(all, "machines", json_array_new());
	json_object_set_array_member(all, "coming", coming);
	g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), all);
	return varlink_json(node);
}

struct offers *
offers_recall(const char *node, const char *text)
{
	g_autofree char *message = g_strdup_printf("{\"parameters\":%s}", text);
	struct varlink_message *parsed = varlink_parse(message, NULL);
	struct offers *offers = parsed ? offers_parse(node, parsed->parameters, NULL) : NULL;
	varlink_message_free(parsed);
	return offers;
}
