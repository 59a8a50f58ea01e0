/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/markup.h"

#include <stdarg.h>
#include <string.h>

#include "config/base/text.h"

void
markup_init(struct markup *page)
{
	*page = (struct markup){.out = g_string_new(NULL), .open = g_ptr_array_new()};
}

GString *
markup_finish(struct markup *page)
{
	g_assert(page->open->len == 0);
	g_clear_pointer(&page->open, g_ptr_array_unref);
	return g_steal_pointer(&page->out);
}

/* --- text --- */

/* Can c stand on a page? Not what HTML forbids, and not what would turn the words around it. */
static gboolean
is_plain(gunichar c)
{
	if (c == '\n' || c == '\t')
		return TRUE;
	return !text_acts(c) && (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef);
}

static void
put_character(GString *out, gunichar c)
{
	switch (c) {
	case '&':
		g_string_append(out, "&amp;");
		break;
	case '<':
		g_string_append(out, "&lt;");
		break;
	case '>':
		g_string_append(out, "&gt;");
		break;
	case '"':
		g_string_append(out, "&quot;");
		break;
	case '\'':
		g_string_append(out, "&#39;");
		break;
	default:
		g_string_append_unichar(out, is_plain(c) ? c : 0xfffd);
	}
}

static void
put_escaped(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	guint n = 0;
	for (const char *p = valid; *p; p = g_utf8_next_char(p))
		if (++n > MARKUP_TEXT_MAX) {
			g_string_append(out, "…");
			return;
		} else
			put_character(out, g_utf8_get_char(p));
}

/* --- elements --- */

static void
end_tag(struct markup *page)
{
	if (page->tag)
		g_string_append_c(page->out, '>');
	page->tag = FALSE;
}

void
markup_open(struct markup *page, const char *element)
{
	end_tag(page);
	g_string_append_printf(page->out, "<%s", element);
	g_ptr_array_add(page->open, (gpointer)element);
	page->tag = TRUE;
}

void
markup_open_class(struct markup *page, const char *element, const char *class)
{
	markup_open(page, element);
	markup_attribute(page, "class", class);
}

void
markup_attribute(struct markup *page, const char *name, const char *value)
{
	g_assert(page->tag);
	g_string_append_printf(page->out, " %s=\"", name);
	put_escaped(page->out, value);
	g_string_append_c(page->out, '"');
}

void
markup_number(struct markup *page, const char *name, double value, const char *unit)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	g_assert(page->tag);
	g_ascii_formatd(text, sizeof text, "%.2f", value);
	for (gsize n = strlen(text); text[n - 1] == '0' || text[n - 1] == '.'; n--) {
		gboolean point = text[n - 1] == '.';
		text[n - 1] = '\0';
		if (point)
			break;
	}
	g_string_append_printf(page->out, " %s=\"%s%s\"", name, text, unit);
}

void
markup_id(struct markup *page, char id[static 16])
{
	g_snprintf(id, 16, "i%u", ++page->ids);
}

void
markup_text(struct markup *page, const char *text)
{
	end_tag(page);
	put_escaped(page->out, text);
}

void
markup_textf(struct markup *page, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	g_autofree char *text = g_strdup_vprintf(format, list);
	va_end(list);
	markup_text(page, text);
}

void
markup_constant(struct markup *page, const char *text)
{
	end_tag(page);
	g_string_append(page->out, text);
}

/* HTML's elements that have no end tag, and SVG's that never have content. */
static const char *const empty_html[] = {"meta", "link", "img", "br", NULL};
static const char *const empty_svg[] = {"rect", "path", "line", "use", NULL};

void
markup_close(struct markup *page)
{
	const char *element = g_ptr_array_index(page->open, page->open->len - 1);
	g_ptr_array_set_size(page->open, (gint)page->open->len - 1);
	gboolean bare = page->tag;
	page->tag = FALSE;
	if (bare && g_strv_contains(empty_html, element))
		g_string_append_c(page->out, '>');
	else if (bare && g_strv_contains(empty_svg, element))
		g_string_append(page->out, "/>");
	else
		g_string_append_printf(page->out, "%s</%s>", bare ? ">" : "", element);
}

void
markup_path(struct markup *page, const char *class, const char *d)
{
	markup_open_class(page, "path", class);
	g_string_append_printf(page->out, " vector-effect=\"non-scaling-stroke\" d=\"%s\"", d);
	markup_close(page);
}

void
markup_element(struct markup *page, const char *element, const char *class, const char *text)
{
	markup_open(page, element);
	if (class)
		markup_attribute(page, "class", class);
	markup_text(page, text);
	markup_close(page);
}
