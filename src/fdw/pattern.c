/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Patterns of PostgreSQL as regular expressions of MongoDB.
 *
 * LIKE can be said whatever the pattern.  Of PostgreSQL's regular expressions
 * those parts are translated that mean the same to MongoDB's, which gives up,
 * without a word, where it has to try too much: so at most one thing in them
 * may repeat without a limit, and where LIKE's "%" stand for several such
 * things, each takes the first place that will do and is not tried again.
 *
 * Case is folded as under the collation C: that of ASCII letters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "fdw/private.h"

/* Bytes; beyond, a regular expression is not looked into. */
#define LONGEST_PATTERN 1000

/* "$" alone would let a newline follow. */
#define AT_END "$(?!\\n)"

/* The most that repetitions with a limit may multiply to. */
#define MOST_REPEATS 1000

/* A regular expression that is being translated. */
typedef struct Translation
{
	const char *next;
	const char *end;
	bool		folds;			/* without regard to case */
	bool		is_c;			/* the collation is C */
	StringInfo	out;
	int			unbounded;		/* repetitions without a limit */
	int			repeats;		/* what those with a limit multiply to */
} Translation;

static bool from_like(const char *data, int size, bool folds, PnsPattern *pattern);
static bool from_regex(const char *data, int size, bool folds, bool is_c, PnsPattern *pattern);
static bool starts_with(const char *data, int size, PnsPattern *pattern);
static PnsFilter objectids_match(const PnsQual *qual, const PnsPattern *pattern);
static char *next_prefix(const char *prefix);
static List *like_pieces(const char *data, int size, bool folds, PnsPattern *pattern);
static void append_char(StringInfo out, const char *c, int size, bool folds);
static bool append_branches(Translation *translation, bool *simple, int depth);
static bool append_atom(Translation *translation, bool *quantifiable, bool *simple, int depth);
static bool append_escape(Translation *translation);
static bool append_bracket(Translation *translation);
static bool append_quantifier(Translation *translation, bool quantifiable, bool simple,
							  bool *branch_simple);
static bool read_bound(Translation *translation, int *least, int *most);
static bool at_branch_end(const Translation *translation);

/*
 * pns_pattern_translate translates the pattern of a condition.  False where it
 * has no meaning to MongoDB, or is an error.
 */
bool
pns_pattern_translate(const PnsQual *qual, Datum value, PnsPattern *pattern)
{
	text	   *string = DatumGetTextPP(value);
	const char *data = VARDATA_ANY(string);
	int			size = VARSIZE_ANY_EXHDR(string);

	switch (qual->match)
	{
		case PNS_MATCH_LIKE:
			return from_like(data, size, false, pattern);
		case PNS_MATCH_ILIKE:
			return from_like(data, size, true, pattern);
		case PNS_MATCH_REGEX:
			return from_regex(data, size, false, qual->is_c, pattern);
		case PNS_MATCH_IREGEX:
			return from_regex(data, size, true, qual->is_c, pattern);
		case PNS_MATCH_PREFIX:
			return starts_with(data, size, pattern);
	}
	return false;
}

/*
 * pns_pattern_filter makes the filter for the values of a column that match.
 * An ObjectId does if its digits do.
 */
PnsFilter
pns_pattern_filter(const PnsQual *qual, const PnsPattern *pattern)
{
	PnsFilter	strings = pns_filter_regex(qual->column->native, pattern->regex, "s");

	if (!pattern->may_be_hex || !pns_text_takes_objectids(qual->column))
		return strings;
	return pns_filter_or(strings, objectids_match(qual, pattern));
}

/*
 * pns_pattern_range makes the filter for the values that begin as all that
 * match do, which indexes serve; none where there is nothing to say.
 */
PnsFilter
pns_pattern_range(const PnsQual *qual, const PnsPattern *pattern)
{
	const char *path = qual->column->native;
	PnsScalar	low = {.type = PNS_BSON_STRING};
	PnsScalar	high = {.type = PNS_BSON_STRING};
	PnsFilter	from;
	PnsFilter	below;

	if (pattern->prefix[0] == '\0' ||
		(pattern->may_be_hex && pns_text_takes_objectids(qual->column)))
		return pns_filter_all();

	low.data = pattern->prefix;
	low.size = strlen(low.data);
	from = pns_filter_compare(path, PNS_GE, low);
	high.data = next_prefix(pattern->prefix);
	high.size = strlen(high.data);
	if (high.size == 0)
		return from;
	below = pns_filter_compare(path, PNS_LT, high);
	return pns_filter_and(list_make2(&from, &below));
}

/*
 * objectids_match makes the filter for ObjectIds whose digits match.
 */
static PnsFilter
objectids_match(const PnsQual *qual, const PnsPattern *pattern)
{
	static const char *const objectid_type[] = {"objectId", NULL};
	PnsBsonBuilder builder;

	pns_filter_open_if_type(&builder, qual->column->native, objectid_type);
	pns_bson_open_document(&builder, "1");
	pns_bson_open_document(&builder, "$regexMatch");
	pns_bson_open_document(&builder, "input");
	pns_filter_append_path(&builder, "$toString", qual->column->native);
	pns_bson_close(&builder);
	pns_bson_open_document(&builder, "regex");
	pns_bson_append_cstring(&builder, "$literal", pattern->regex);
	pns_bson_close(&builder);
	pns_bson_append_cstring(&builder, "options", "s");
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_close_if_type(&builder, false);
}

/*
 * next_prefix gives the least string, in the order of bytes, above all that
 * begin with a prefix; empty where there is none.
 */
static char *
next_prefix(const char *prefix)
{
	char	   *next = pstrdup(prefix);
	int			size = strlen(next);

	while (size > 0)
	{
		int			last = size - 1;
		pg_wchar	code;

		while (last > 0 && ((unsigned char) next[last] & 0xc0) == 0x80)
			last--;
		code = utf8_to_unicode((unsigned char *) next + last) + 1;
		if (code == 0xd800)
			code = 0xe000;		/* no surrogates */
		if (code <= 0x10ffff)
		{
			char	   *result = palloc0(last + 5);

			memcpy(result, next, last);
			unicode_to_utf8(code, (unsigned char *) result + last);
			return result;
		}
		size = last;
	}
	return pstrdup("");
}

/*
 * starts_with makes the pattern of what begins with a string.
 */
static bool
starts_with(const char *data, int size, PnsPattern *pattern)
{
	StringInfoData regex;
	const char *end = data + size;

	initStringInfo(&regex);
	appendStringInfoChar(&regex, '^');
	pattern->prefix = pnstrdup(data, size);
	pattern->may_be_hex = true;
	for (; data < end; data += pg_mblen(data))
	{
		append_char(&regex, data, pg_mblen(data), false);
		if (!isxdigit((unsigned char) *data) || isupper((unsigned char) *data))
			pattern->may_be_hex = false;
	}
	pattern->regex = regex.data;
	return true;
}

/*
 * from_like translates a pattern of LIKE, or of ILIKE if it folds.
 * False where the pattern is an error: it ends with the escape character.
 */
static bool
from_like(const char *data, int size, bool folds, PnsPattern *pattern)
{
	StringInfoData regex;
	List	   *pieces = like_pieces(data, size, folds, pattern);
	int			npieces = list_length(pieces);

	if (pieces == NIL)
		return false;

	initStringInfo(&regex);
	appendStringInfo(&regex, "^%s", (char *) linitial(pieces));
	for (int i = 1; i < npieces - 1; i++)
	{
		const char *piece = (char *) list_nth(pieces, i);

		if (piece[0] != '\0')
			appendStringInfo(&regex, "(?>.*?%s)", piece);
	}
	if (npieces == 1)
		appendStringInfoString(&regex, AT_END);
	else if (((char *) llast(pieces))[0] != '\0')
		appendStringInfo(&regex, ".*%s" AT_END, (char *) llast(pieces));
	pattern->regex = regex.data;
	return true;
}

/*
 * like_pieces translates what stands before, between and behind the "%" of a
 * pattern, each of which may be empty; NIL where the pattern is an error.
 */
static List *
like_pieces(const char *data, int size, bool folds, PnsPattern *pattern)
{
	const char *end = data + size;
	bool		in_prefix = !folds;
	List	   *pieces = NIL;
	StringInfoData piece;
	StringInfoData prefix;

	initStringInfo(&piece);
	initStringInfo(&prefix);
	pattern->may_be_hex = true;
	while (data < end)
	{
		int			length = pg_mblen(data);

		if (*data == '%' || *data == '_')
			in_prefix = false;
		if (*data == '%')
		{
			pieces = lappend(pieces, piece.data);
			initStringInfo(&piece);
		}
		else if (*data == '_')
			appendStringInfoChar(&piece, '.');
		else
		{
			if (*data == '\\' && ++data == end)
				return NIL;
			length = pg_mblen(data);
			append_char(&piece, data, length, folds);
			if (in_prefix)
				appendBinaryStringInfo(&prefix, data, length);
			if (!isxdigit((unsigned char) *data) ||
				(!folds && isupper((unsigned char) *data)))
				pattern->may_be_hex = false;
		}
		data += length;
	}
	pattern->prefix = prefix.data;
	return lappend(pieces, piece.data);
}

/*
 * from_regex translates a regular expression.  False where it has
 * something that MongoDB's may read otherwise, or is an error.
 */
static bool
from_regex(const char *data, int size, bool folds, bool is_c, PnsPattern *pattern)
{
	StringInfoData regex;
	Translation translation = {data, data + size, folds, is_c, &regex, 0, 1};
	bool		simple = true;

	if (size > LONGEST_PATTERN)
		return false;

	initStringInfo(&regex);
	pattern->prefix = "";
	pattern->may_be_hex = true;
	if (!append_branches(&translation, &simple, 0) || translation.next != translation.end)
		return false;
	pattern->regex = regex.data;
	return true;
}

/*
 * append_char appends a character that stands for itself, or for both of its
 * cases.
 */
static void
append_char(StringInfo out, const char *c, int size, bool folds)
{
	if (folds && size == 1 && isalpha((unsigned char) *c))
	{
		appendStringInfo(out, "[%c%c]", pg_ascii_tolower((unsigned char) *c),
						 pg_ascii_toupper((unsigned char) *c));
		return;
	}
	if (strchr("\\^$.|?*+()[]{}/-", *c) != NULL)
		appendStringInfoChar(out, '\\');
	appendBinaryStringInfo(out, c, size);
}

/*
 * append_branches translates what stands between parentheses, or all of it.
 * Clears *simple where it has branches or repeats something.
 */
static bool
append_branches(Translation *translation, bool *simple, int depth)
{
	bool		empty = true;

	check_stack_depth();
	while (translation->next < translation->end && *translation->next != ')')
	{
		bool		quantifiable;
		bool		atom_simple = true;
		const char *start = translation->next;

		if (*start == '|')
		{
			/* an empty branch is for others to read */
			if (empty)
				return false;
			*simple = false;
			empty = true;
			appendStringInfoChar(translation->out, '|');
			translation->next++;
			continue;
		}
		if (*start == '^' && !empty)
			return false;
		if (!append_atom(translation, &quantifiable, &atom_simple, depth) ||
			!append_quantifier(translation, quantifiable, atom_simple, simple))
			return false;
		*simple = *simple && atom_simple;
		empty = *start == '^';
	}
	return !empty || (depth == 0 && *simple);
}

/*
 * append_atom translates one thing that may be repeated, or an anchor.
 */
static bool
append_atom(Translation *translation, bool *quantifiable, bool *simple, int depth)
{
	const char *c = translation->next;
	int			length = pg_mblen(c);

	*quantifiable = true;
	switch (*c)
	{
		case '^':
			*quantifiable = false;
			translation->next++;
			appendStringInfoChar(translation->out, '^');
			return true;
		case '$':
			*quantifiable = false;
			translation->next++;
			appendStringInfoString(translation->out, "(?:" AT_END ")");
			return at_branch_end(translation);
		case '.':
			translation->next++;
			appendStringInfoChar(translation->out, '.');
			return true;
		case '\\':
			return append_escape(translation);
		case '[':
			return append_bracket(translation);
		case '(':
			translation->next++;
			if (translation->next == translation->end || *translation->next == '?' ||
				*translation->next == '*')
				return false;
			appendStringInfoString(translation->out, "(?:");
			if (!append_branches(translation, simple, depth + 1) ||
				translation->next == translation->end)
				return false;
			translation->next++;
			appendStringInfoChar(translation->out, ')');
			return true;
		case '*':
		case '+':
		case '?':
		case '{':
			return false;
		default:
			append_char(translation->out, c, length, translation->folds);
			translation->next += length;
			return true;
	}
}

/*
 * append_escape translates a backslash and what is behind it: a character that
 * has lost its meaning, or, under the collation C, a class of characters.
 */
static bool
append_escape(Translation *translation)
{
	static const struct
	{
		char		escape;
		const char *bracket;
	}			classes[] = {
		{'d', "[0-9]"},
		{'w', "[A-Za-z0-9_]"},
		{'s', "[ \\t\\n\\x0b\\f\\r]"},
	};
	const char *c = translation->next + 1;

	if (c == translation->end || IS_HIGHBIT_SET(*c))
		return false;
	translation->next += 2;
	if (ispunct((unsigned char) *c))
	{
		append_char(translation->out, c, 1, false);
		return true;
	}
	for (int i = 0; i < lengthof(classes); i++)
	{
		if (translation->is_c && classes[i].escape == *c)
		{
			appendStringInfoString(translation->out, classes[i].bracket);
			return true;
		}
	}
	return false;
}

/*
 * append_bracket translates a list of characters and of ranges of ASCII.
 */
static bool
append_bracket(Translation *translation)
{
	const char *c = translation->next + 1;
	const char *first;

	if (c < translation->end && *c == '^')
		c++;
	first = c;
	for (; c < translation->end && *c != ']'; c += pg_mblen(c))
	{
		bool		is_range = c[0] == '-' && c > first && c + 1 < translation->end &&
		c[1] != ']';

		/* what could begin something else, here or there */
		if (strchr("[\\&~|^", *c) != NULL ||
			(translation->folds && isalpha((unsigned char) *c)))
			return false;
		if (*c == '-' && !is_range && c != first && c[1] != ']')
			return false;
		if (is_range && (!isalnum((unsigned char) c[-1]) || !isalnum((unsigned char) c[1]) ||
						 (c - first >= 2 && c[-2] == '-') ||
						 (unsigned char) c[-1] > (unsigned char) c[1]))
			return false;
	}
	if (c >= translation->end || c == first)
		return false;

	appendBinaryStringInfo(translation->out, translation->next, c + 1 - translation->next);
	translation->next = c + 1;
	return true;
}

/*
 * append_quantifier translates how often something is repeated, if it is.  A
 * group is only where there is one way to repeat it.
 */
static bool
append_quantifier(Translation *translation, bool quantifiable, bool simple,
				  bool *branch_simple)
{
	const char *start = translation->next;
	int			least = 0;
	int			most = -1;

	if (start == translation->end || strchr("*+?{", *start) == NULL)
		return true;
	if (!quantifiable)
		return false;

	if (*start == '{')
	{
		if (!read_bound(translation, &least, &most))
			return false;
	}
	else
	{
		translation->next++;
		if (*start == '?')
			most = 1;
	}

	if (!simple || (translation->next < translation->end &&
					strchr("*+?{", *translation->next) != NULL))
		return false;
	*branch_simple = false;
	if (most < 0 && ++translation->unbounded > 1)
		return false;
	if (most > least)
		translation->repeats *= most - least + 1;
	if (translation->repeats > MOST_REPEATS)
		return false;
	appendBinaryStringInfo(translation->out, start, translation->next - start);
	return true;
}

/*
 * read_bound reads {m}, {m,} or {m,n}; most is -1 where there is no limit.
 */
static bool
read_bound(Translation *translation, int *least, int *most)
{
	char	   *text = pnstrdup(translation->next, translation->end - translation->next);
	char	   *end;

	if (!isdigit((unsigned char) text[1]))
		return false;
	*least = *most = strtol(text +1, &end, 10);
	if (*end == ',')
	{
		*most = -1;
		end++;
		if (isdigit((unsigned char) *end))
			*most = strtol(end, &end, 10);
	}
	translation->next += end + 1 - text;

	return *end == '}' && *least <= 255 && *most <= 255 && (*most < 0 || *least <= *most);
}

/*
 * at_branch_end tells whether a branch ends here.
 */
static bool
at_branch_end(const Translation *translation)
{
	return translation->next == translation->end || *translation->next == ')' ||
		*translation->next == '|';
}
