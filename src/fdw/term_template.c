/*-------------------------------------------------------------------------
 *
 * term_template.c
 *	  Templates: MongoDB's expressions as one writes them.
 *
 * What MongoDB calls to evaluate a function is written in the style of its
 * shell, so that it can be read:
 *
 *		#1			the value of the first argument
 *		?1, !1		"the first argument is true", "... is false"
 *		'text'		a string; one that begins with a dollar is a path
 *		123, 1.5	an int (or a long), a double
 *		true, false, null, NaN, Infinity
 *		NUL			the string of one zero byte
 *		EPOCH		the date 1970-01-01, from which milliseconds are counted
 *
 * An argument that a template names twice is bound to a variable, unless it is
 * one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "utils/float.h"

#include "fdw/term_private.h"

/* A template that is being written. */
typedef struct Reader
{
	PnsTermWriter *writer;
	List	   *args;			/* of PnsTerm */
	const char *next;			/* the next character */
} Reader;

static List *bind_args(PnsTermWriter *writer, const char **key, const char *template,
					   List *args, bool *binds);
static void count_uses(const char *template, int *uses);
static int	template_depth(const char *template);
static bool is_simple(const PnsTerm *term);
static void append_member(Reader *reader, const char *key);
static void append_document(Reader *reader, const char *key);
static void append_array(Reader *reader, const char *key);
static void append_string(Reader *reader, const char *key);
static void append_arg(Reader *reader, const char *key);
static void append_number(Reader *reader, const char *key);
static void append_word(Reader *reader, const char *key);
static void skip_blanks(Reader *reader);

/*
 * pns_term_write_call appends a call.
 */
void
pns_term_write_call(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	const char *template = term->template;
	const char *check = term->checks_null ? pns_term_null_check(term->args) : NULL;

	if (check != NULL)
		template = psprintf("{$cond: [%s, null, %s]}", check, template);
	pns_term_write_template(writer, key, template, term->args);
}

/*
 * pns_term_null_check makes a template for "one of the arguments is null", or
 * NULL where none can be.
 */
const char *
pns_term_null_check(List *args)
{
	StringInfoData names;
	int			n = 0;
	int			nullable = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, args)
	{
		n++;
		if (((PnsTerm *) lfirst(lc))->never_null)
			continue;
		appendStringInfo(&names, "%s#%d", nullable++ > 0 ? ", " : "", n);
	}
	if (nullable == 0)
		return NULL;
	return psprintf(nullable == 1 ? "{$eq: [%s, null]}" : "{$in: [null, [%s]]}", names.data);
}

/*
 * pns_term_write_template appends a template over arguments.
 */
void
pns_term_write_template(PnsTermWriter *writer, const char *key, const char *template,
						List *args)
{
	bool		binds;
	Reader		reader = {.writer = writer,.next = template};

	Assert(list_length(args) <= PNS_TEMPLATE_ARGS);
	reader.args = bind_args(writer, &key, template, args, &binds);
	append_member(&reader, key);
	if (binds)
	{
		pns_bson_close(writer->builder);
		pns_bson_close(writer->builder);
	}
}

/*
 * pns_term_call_depth counts how deep a call nests: its template, in a null
 * check and a $let, and in them or in the $let's variables the arguments.
 */
int
pns_term_call_depth(const PnsTerm *term)
{
	int			uses[PNS_TEMPLATE_ARGS + 1];
	int			around = template_depth(term->template) + (term->checks_null ? 2 : 0);
	int			depth = 0;
	bool		binds = false;
	int			n = 0;
	ListCell   *lc;

	count_uses(term->template, uses);
	foreach(lc, term->args)
	{
		const PnsTerm *arg = (PnsTerm *) lfirst(lc);

		if (uses[++n] + (term->checks_null ? 1 : 0) > 1 && !is_simple(arg))
		{
			binds = true;
			depth = Max(depth, arg->depth + 3);
		}
		else
			depth = Max(depth, around + arg->depth);
	}
	return Max(depth, around) + (binds ? 2 : 0);
}

/*
 * template_depth counts how deep a template nests.
 */
static int
template_depth(const char *template)
{
	int			depth = 0;
	int			deepest = 0;

	for (; *template != '\0'; template++)
	{
		if (*template == '{' || *template == '[')
			depth++;
		else if (*template == '}' || *template == ']')
			depth--;
		deepest = Max(deepest, depth);
	}
	return deepest;
}

/*
 * bind_args opens a $let for the arguments that a template names more than
 * once, and returns the arguments with the variables in their places.
 */
static List *
bind_args(PnsTermWriter *writer, const char **key, const char *template, List *args,
		  bool *binds)
{
	int			uses[PNS_TEMPLATE_ARGS + 1];
	List	   *bound = NIL;
	int			n = 0;
	ListCell   *lc;

	count_uses(template, uses);
	*binds = false;
	foreach(lc, args)
	{
		PnsTerm    *arg = (PnsTerm *) lfirst(lc);

		if (uses[++n] > 1 && !is_simple(arg))
		{
			PnsTerm    *variable = memcpy(palloc(sizeof(PnsTerm)), arg, sizeof(PnsTerm));

			if (!*binds)
			{
				pns_bson_open_document(writer->builder, *key);
				pns_bson_open_document(writer->builder, "$let");
				pns_bson_open_document(writer->builder, "vars");
				*key = "in";
				*binds = true;
			}
			variable->kind = PNS_TERM_FIELD;
			variable->field = psprintf("$v%d", writer->nvariables++);
			pns_term_write(writer, variable->field + 1, arg);
			arg = variable;
		}
		bound = lappend(bound, arg);
	}
	if (*binds)
		pns_bson_close(writer->builder);
	return bound;
}

/*
 * count_uses counts how often a template names each argument, from 1.
 */
static void
count_uses(const char *template, int *uses)
{
	memset(uses, 0, sizeof(int) * (PNS_TEMPLATE_ARGS + 1));
	for (; *template != '\0'; template++)
	{
		if (strchr("#?!", *template) != NULL && isdigit((unsigned char) template[1]))
			uses[template[1] - '0']++;
	}
}

/*
 * is_simple tells whether a term can as well be said twice.
 */
static bool
is_simple(const PnsTerm *term)
{
	switch (term->kind)
	{
		case PNS_TERM_COLUMN:
		case PNS_TERM_FIELD:
		case PNS_TERM_OPERAND:
		case PNS_TERM_LITERAL:
			return true;
		case PNS_TERM_RAW:
			return pns_term_path_is_plain(term->column->column);
		default:
			return false;
	}
}

/*
 * append_member appends what comes next in a template.
 */
static void
append_member(Reader *reader, const char *key)
{
	skip_blanks(reader);
	switch (*reader->next)
	{
		case '{':
			append_document(reader, key);
			break;
		case '[':
			append_array(reader, key);
			break;
		case '\'':
			append_string(reader, key);
			break;
		case '#':
		case '?':
		case '!':
			append_arg(reader, key);
			break;
		case '-':
		case '0':
		case '1':
		case '2':
		case '3':
		case '4':
		case '5':
		case '6':
		case '7':
		case '8':
		case '9':
			append_number(reader, key);
			break;
		default:
			append_word(reader, key);
			break;
	}
	skip_blanks(reader);
}

/*
 * append_document appends { key: value, ... }.
 */
static void
append_document(Reader *reader, const char *key)
{
	pns_bson_open_document(reader->writer->builder, key);
	do
	{
		const char *begin;
		char	   *name;

		reader->next++;
		skip_blanks(reader);
		begin = reader->next;
		reader->next = strchr(begin, ':');
		name = pnstrdup(begin, reader->next - begin);
		reader->next++;
		append_member(reader, name);
	} while (*reader->next == ',');
	Assert(*reader->next == '}');
	reader->next++;
	pns_bson_close(reader->writer->builder);
}

/*
 * append_array appends [ value, ... ].
 */
static void
append_array(Reader *reader, const char *key)
{
	int			n = 0;

	pns_bson_open_array(reader->writer->builder, key);
	do
	{
		reader->next++;
		append_member(reader, pstrdup(pns_bson_index(n++)));
	} while (*reader->next == ',');
	Assert(*reader->next == ']');
	reader->next++;
	pns_bson_close(reader->writer->builder);
}

/*
 * append_string appends a quoted string.
 */
static void
append_string(Reader *reader, const char *key)
{
	const char *begin = ++reader->next;

	reader->next = strchr(begin, '\'');
	pns_bson_append_string(reader->writer->builder, key, begin, reader->next - begin);
	reader->next++;
}

/*
 * append_arg appends an argument.
 */
static void
append_arg(Reader *reader, const char *key)
{
	const PnsTerm *arg = (PnsTerm *) list_nth(reader->args, reader->next[1] - '1');
	char		sign = *reader->next;

	reader->next += 2;
	if (sign == '#')
		pns_term_write(reader->writer, key, arg);
	else
		pns_term_write_truth(reader->writer, key, arg, sign == '?');
}

/*
 * append_number appends a number, a double where it has a point.
 */
static void
append_number(Reader *reader, const char *key)
{
	size_t		size = strspn(reader->next, "-0123456789.");
	char	   *digits = pnstrdup(reader->next, size);

	reader->next += size;
	if (strchr(digits, '.') != NULL)
		pns_bson_append_double(reader->writer->builder, key, strtod(digits, NULL));
	else
		pns_bson_append_scalar(reader->writer->builder, key,
							   pns_int_scalar(strtoi64(digits, NULL, 10)));
}

/*
 * append_word appends a value that has a name.
 */
static void
append_word(Reader *reader, const char *key)
{
	PnsBsonBuilder *builder = reader->writer->builder;
	size_t		size = 0;
	char	   *word;

	while (isalpha((unsigned char) reader->next[size]))
		size++;
	word = pnstrdup(reader->next, size);
	reader->next += size;

	if (strcmp(word, "true") == 0)
		pns_bson_append_bool(builder, key, true);
	else if (strcmp(word, "false") == 0)
		pns_bson_append_bool(builder, key, false);
	else if (strcmp(word, "null") == 0)
		pns_bson_append_null(builder, key);
	else if (strcmp(word, "NaN") == 0)
		pns_bson_append_double(builder, key, get_float8_nan());
	else if (strcmp(word, "Infinity") == 0)
		pns_bson_append_double(builder, key, get_float8_infinity());
	else if (strcmp(word, "EPOCH") == 0)
		pns_bson_append_date(builder, key, 0);
	else if (strcmp(word, "NUL") == 0)
		pns_bson_append_string(builder, key, "", 1);
	else
		/* elog: the templates are ours */
		elog(ERROR, "unexpected word \"%s\" in a template", word);
}

/*
 * skip_blanks moves to the next character that means something.
 */
static void
skip_blanks(Reader *reader)
{
	while (*reader->next == ' ')
		reader->next++;
}
