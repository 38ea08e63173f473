/*-------------------------------------------------------------------------
 *
 * private.h
 *	  What the files of the wrapper share.
 *
 * The life of a scan: plan.c asks qual.c which conditions can be shipped and
 * keeps those expressions in the plan (describe.c); query.c compiles them again
 * when the executor starts (scan.c) and, with the parameters' values, makes the
 * command of them, whose $match is filter.c's; and the codec of mongo/ fills
 * the slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_PRIVATE_H
#define PNS_FDW_PRIVATE_H

#include "fdw/fdw.h"
#include "mongo/mongo.h"

#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"

/* ---------- options.c ---------- */

/* A column of a foreign table: what the codec needs, and what a query needs. */
typedef struct PnsTableColumn
{
	PnsColumn	codec;			/* codec.attnum is 0 for a dropped column */
	Oid			base_type;		/* the type below any domains */
	int32		base_typmod;
	List	   *keys;			/* the path's components, C strings; NIL for
								 * the whole document */
	char	   *native;			/* the path in MongoDB's query language, or
								 * NULL where it cannot be said there */
	bool		not_null;		/* declared so, which is a promise */
	char	   *projection;		/* the longest part of the path that can be
								 * projected, or NULL: the whole document */
	bool		objectid;		/* text is written as ObjectId */
	bool		round;			/* what BSON cannot hold is, else an error */
} PnsTableColumn;

/* A foreign table with its options and those of its server resolved. */
typedef struct PnsTable
{
	Oid			relid;
	char	   *name;			/* the relation's, for messages */
	Oid			serverid;
	char	   *database;
	char	   *collection;
	bool		use_remote_estimate;
	bool		async_capable;	/* an Append may wait for several at once */
	bool		sort_strings;	/* the server sorts them by their bytes */
	double		startup_cost;	/* of a query, in the planner's unit */
	double		tuple_cost;		/* of a document that the server returns */
	uint32		not_pushed;		/* 1 << PnsPushdown: options say no */
	int			fetch_size;		/* documents; 0 leaves it to the server */
	int			batch_size;		/* rows that one command writes */
	bool		stores_nulls;	/* NULL is written, else left out */
	bool		updatable;		/* may be written to at all */
	int			ncolumns;
	PnsTableColumn *columns;	/* [attnum - 1] */
} PnsTable;

extern PnsTable *pns_fdw_get_table(Oid relid);
extern char *pns_fdw_table_label(const PnsTable *table);
extern void pns_fdw_check_choice(DefElem *def, const char *first, const char *second);

/* ---------- settings.c ---------- */

/* The kinds of pushdown that can be switched off, each by itself. */
typedef enum PnsPushdown
{
	PNS_PUSH_AGGREGATE,			/* aggregates, GROUP BY, DISTINCT */
	PNS_PUSH_BATCHED_JOIN,		/* keys of other rows, in batches */
	PNS_PUSH_CONDITION,
	PNS_PUSH_EXPRESSION,		/* what only $expr or $addFields can say */
	PNS_PUSH_JOIN,				/* of collections */
	PNS_PUSH_LIMIT,				/* LIMIT and OFFSET */
	PNS_PUSH_MODIFY,			/* UPDATE and DELETE as one command */
	PNS_PUSH_ORDER_BY
} PnsPushdown;

extern int	pns_fdw_join_batch_size;

extern bool pns_fdw_pushes(const PnsTable *table, PnsPushdown kind);
extern int	pns_fdw_pushdown_option(const char *name);

/* ---------- qual.c ---------- */

typedef enum PnsQualKind
{
	PNS_QUAL_AND,
	PNS_QUAL_OR,
	PNS_QUAL_COMPARE,			/* column op operand */
	PNS_QUAL_IN,				/* column = ANY (operand) */
	PNS_QUAL_NOT_IN,			/* column <> ALL (operand) */
	PNS_QUAL_NULL,				/* column IS NULL */
	PNS_QUAL_NOT_NULL,
	PNS_QUAL_NOT_TRUE,			/* what is in args is false or unknown */
	PNS_QUAL_BOOL,				/* a boolean column is "truth" */
	PNS_QUAL_MATCH,				/* that column matches operand is "truth" */
	PNS_QUAL_MEMBER,			/* a test of what is inside a column */
	PNS_QUAL_CONST,				/* "truth", whatever the row */
	PNS_QUAL_OPERAND,			/* the operand, a boolean, is "truth" */
	PNS_QUAL_OPERAND_NULL,		/* that the operand is NULL is "truth" */
	PNS_QUAL_EXPR				/* a term (term.h) is true */
} PnsQualKind;

typedef enum PnsCompareOp
{
	PNS_LT,
	PNS_LE,
	PNS_EQ,
	PNS_GE,
	PNS_GT,
	PNS_NE
} PnsCompareOp;

/* The ways in which a string matches a pattern. */
typedef enum PnsMatchKind
{
	PNS_MATCH_LIKE,
	PNS_MATCH_ILIKE,
	PNS_MATCH_REGEX,
	PNS_MATCH_IREGEX,
	PNS_MATCH_PREFIX			/* starts_with */
} PnsMatchKind;

/* The tests of what is inside a column: member.c. */
typedef enum PnsMemberKind
{
	PNS_MEMBER_TEXT,			/* json ->> key = operand */
	PNS_MEMBER_TEXT_IN,			/* json ->> key = ANY (operand) */
	PNS_MEMBER_JSON,			/* json -> key = operand */
	PNS_MEMBER_ORDER,			/* json ->> key < operand and the like */
	PNS_MEMBER_NUMBER,			/* (json ->> key)::number op operand */
	PNS_MEMBER_CONTAINS,		/* json @> operand */
	PNS_MEMBER_KEY,				/* json ? operand */
	PNS_MEMBER_ANY_KEY,			/* json ?| operand */
	PNS_MEMBER_ALL_KEYS,		/* json ?& operand */
	PNS_MEMBER_PRESENT,			/* json -> key IS NOT NULL */
	PNS_MEMBER_ELEMENT,			/* operand = ANY (array) */
	PNS_MEMBER_ANY_ELEMENT,		/* array && operand */
	PNS_MEMBER_ALL_ELEMENTS		/* array @> operand */
} PnsMemberKind;

/*
 * How the values of a column compare, and so how a comparison is said to
 * MongoDB: see values.c.
 */
typedef enum PnsValueClass
{
	PNS_CLASS_NONE,				/* nothing is shipped */
	PNS_CLASS_INT,
	PNS_CLASS_FLOAT4,
	PNS_CLASS_FLOAT8,
	PNS_CLASS_NUMERIC,
	PNS_CLASS_BOOL,
	PNS_CLASS_TEXT,				/* text, varchar, name */
	PNS_CLASS_BPCHAR,
	PNS_CLASS_ENUM,
	PNS_CLASS_UUID,
	PNS_CLASS_BYTEA,
	PNS_CLASS_TIMESTAMP,		/* with time zone or without */
	PNS_CLASS_DATE,
	PNS_CLASS_OBJECTID
} PnsValueClass;

/*
 * A condition that can be said to MongoDB, in negation normal form: NOT has
 * been pushed down to the leaves.  As a WHERE keeps a row only where its
 * condition is true, each node stands for "is true", never for "is not
 * false".
 */
typedef struct PnsQual
{
	PnsQualKind kind;
	bool		exact;			/* MongoDB's answer needs no second look */

	/*
	 * Numbers of columns whose misfits it lets through because they have to
	 * be errors, as of IS NULL.  Exact or not: they must be fetched, so that
	 * the codec sees them.  What does not decode the documents (an aggregate,
	 * an outer join) can not take a condition that has any for exact.
	 */
	Bitmapset  *checked;
	bool		truth;			/* BOOL, MATCH, CONST, OPERAND, OPERAND_NULL */
	PnsMatchKind match;			/* MATCH */
	PnsMemberKind member;		/* MEMBER: column is what is inside */
	bool		is_c;			/* MATCH: under the collation C */
	List	   *args;			/* AND, OR, NOT_TRUE: of PnsQual */
	const PnsTableColumn *column;
	PnsValueClass class;
	PnsCompareOp op;			/* COMPARE, MEMBER_ORDER, MEMBER_NUMBER */
	Expr	   *operand;		/* COMPARE, IN, NOT_IN, MATCH, OPERAND(_NULL):
								 * no column in it */
	Oid			operand_type;	/* as the operator takes it (IN: an element) */
	const struct PnsTerm *term; /* EXPR */
} PnsQual;

extern bool pns_fdw_is_operand(Node *node);
extern PnsQual *pns_fdw_compile_qual(Expr *expr, const PnsTable *table, Index varno);
extern PnsQual *pns_fdw_compile_planned_qual(Expr *expr, const PnsTable *table, Index varno);
extern PnsQual *pns_fdw_misfit_qual(const PnsTableColumn *column);

/* ---------- array_test.c ---------- */

extern bool pns_fdw_is_list_test(Node *node);
extern Expr *pns_fdw_expand_array_test(ScalarArrayOpExpr *expr);

/* ---------- comparison.c ---------- */

extern bool pns_fdw_comparison_of(Oid opno, Oid type, PnsCompareOp *op);
extern bool pns_fdw_comparison_ships(const PnsTableColumn *column, PnsCompareOp op,
									 Oid operand_type, Oid collation);
extern bool pns_fdw_comparison_is_exact(const PnsTableColumn *column, PnsCompareOp op);
extern PnsCompareOp pns_fdw_commute(PnsCompareOp op);
extern PnsCompareOp pns_fdw_negate(PnsCompareOp op);

/* ---------- filter.c ---------- */

typedef enum PnsFilterKind
{
	PNS_FILTER_ALL,				/* no restriction */
	PNS_FILTER_NONE,			/* no document can match */
	PNS_FILTER_SOME				/* those that match document */
} PnsFilterKind;

typedef struct PnsFilter
{
	PnsFilterKind kind;
	PnsDocument document;

	/* what a second $match demands; of pns_fdw_make_filter only */
	bool		has_rest;
	PnsDocument rest;
} PnsFilter;

/*
 * Gives the value of an operand.  Returns false where it is not known (EXPLAIN
 * without execution), and the filter then shows a placeholder.
 */
typedef bool (*PnsOperandValue) (void *state, Expr *operand, Datum *value, bool *isnull);

extern PnsFilter pns_fdw_make_filter(List *quals, PnsOperandValue operand_value, void *state);
extern bool pns_fdw_compares_strings(List *quals);

/* ---------- values.c ---------- */

/* What other conditions say of a column. */
typedef struct PnsBounds
{
	bool		lower;
	bool		upper;
} PnsBounds;

/* A value in a filter. */
typedef struct PnsScalar
{
	PnsBsonType type;
	uint8		subtype;		/* BINARY */
	int64		integer;		/* INT64, BOOL, and DATE in milliseconds */
	float8		number;			/* DOUBLE */
	const char *data;			/* STRING, BINARY, OBJECTID; the digits of a
								 * DECIMAL128 */
	uint32		size;			/* bytes of data */
} PnsScalar;

/*
 * How the values of one class are said to MongoDB.
 */
typedef struct PnsValueRules
{
	/* the BSON types of which a value may fit, NULL-terminated */
	const char *types[5];

	/* those that compare as if they could, and arrays; NULL-terminated */
	const char *strangers[3];

	/* a type that a superset lets in whatever its value, or NULL */
	const char *other_type;

	/*
	 * Append the scalars (PnsScalar) that are equal to a value, perhaps none.
	 * False where equality needs a range instead.
	 */
	bool		(*points) (const PnsQual *qual, Datum value, List **scalars);

	/*
	 * What selects, of the values that fit, those that compare so: just them
	 * where qual is exact, or more.  bounded is set where something else
	 * keeps NaN out.
	 */
	PnsFilter	(*range) (const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);

	/*
	 * The same for exact conditions of a class whose points and ranges let in
	 * more; they then only serve indexes.  NULL where they do not.
	 */
	PnsFilter	(*exactly) (const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);

	/* Does a comparison keep out what the column's type cannot hold? */
	bool		(*bounds) (const PnsQual *qual, Datum value);

	/*
	 * What only values satisfy that fit the column, given that they are
	 * bounded by other conditions.  *all tells whether all that fit do.
	 */
	PnsFilter	(*fits) (const PnsTableColumn *column, PnsBounds bounds, bool *all);
} PnsValueRules;

/* in value_number.c, value_numeric.c, value_string.c, value_date.c, value_binary.c */
extern const PnsValueRules pns_int_rules;
extern const PnsValueRules pns_float4_rules;
extern const PnsValueRules pns_float8_rules;
extern const PnsValueRules pns_numeric_rules;
extern const PnsValueRules pns_bool_rules;
extern const PnsValueRules pns_text_rules;
extern const PnsValueRules pns_bpchar_rules;
extern const PnsValueRules pns_enum_rules;
extern const PnsValueRules pns_uuid_rules;
extern const PnsValueRules pns_bytea_rules;
extern const PnsValueRules pns_timestamp_rules;
extern const PnsValueRules pns_date_rules;
extern const PnsValueRules pns_objectid_rules;

extern PnsScalar pns_int_scalar(int64 value);
extern PnsScalar pns_double_scalar(float8 value);
extern PnsScalar pns_date_scalar(int64 milliseconds);
extern bool pns_add_point(List **scalars, PnsScalar scalar);
extern PnsValueClass pns_fdw_value_class(const PnsTableColumn *column);
extern PnsValueClass pns_fdw_type_class(Oid type);
extern const PnsValueRules *pns_fdw_value_rules(PnsValueClass class);
extern bool pns_number_bounds(const PnsQual *qual, Datum value);
extern PnsFilter pns_number_range(const PnsQual *qual, PnsCompareOp op, PnsScalar low,
								  PnsScalar high, bool bounded);
extern PnsFilter pns_nan_range(const PnsQual *qual, PnsCompareOp op);
extern bool pns_text_takes_objectids(const PnsTableColumn *column);
extern bool pns_fdw_fits_exactly(const PnsTableColumn *column);
extern int	pns_fdw_read_array(Datum array, Datum **values, bool *has_null);
extern void pns_bson_append_scalar(PnsBsonBuilder *builder, const char *key, PnsScalar scalar);

/* ---------- pattern.c ---------- */

/* A pattern, translated; "." in it takes newlines too. */
typedef struct PnsPattern
{
	char	   *regex;
	char	   *prefix;			/* what every match begins with; or empty */
	bool		may_be_hex;		/* the digits of an ObjectId may match */
} PnsPattern;

extern bool pns_pattern_translate(const PnsQual *qual, Datum value, PnsPattern *pattern);
extern PnsFilter pns_pattern_filter(const PnsQual *qual, const PnsPattern *pattern);
extern PnsFilter pns_pattern_range(const PnsQual *qual, const PnsPattern *pattern);

/* ---------- member.c ---------- */

extern PnsQual *pns_fdw_compile_member(Expr *expr, const PnsTable *table, Index varno);

/* ---------- member_filter.c ---------- */

extern PnsFilter pns_member_filter(const PnsQual *qual, Datum value);
extern char *pns_member_path(const char *path, const char *key);

/* ---------- match.c ---------- */

extern const char *const pns_filter_operators[];

extern PnsFilter pns_filter_all(void);
extern PnsFilter pns_filter_none(void);
extern PnsFilter pns_filter_or(PnsFilter left, PnsFilter right);
extern PnsFilter pns_filter_compare(const char *path, PnsCompareOp op, PnsScalar scalar);
extern PnsFilter pns_filter_between(const char *path, PnsScalar low, PnsScalar high);
extern PnsFilter pns_filter_type(const char *path, const char *const *types);
extern PnsFilter pns_filter_points(const char *path, List *scalars);
extern PnsFilter pns_filter_unequal(const char *path, List *scalars);
extern PnsFilter pns_filter_regex(const char *path, const char *regex, const char *options);
extern PnsFilter pns_filter_and(List *filters);
extern PnsFilter pns_filter_not(PnsFilter filter);
extern PnsFilter pns_filter_join(const char *operator, List *filters);
extern PnsFilter pns_filter_finish(PnsBsonBuilder *builder);
extern PnsFilter *pns_filter_copy(PnsFilter filter);
extern void pns_filter_add_alternatives(List **filters, PnsFilter filter);
extern void pns_filter_open_if_type(PnsBsonBuilder *builder, const char *path,
									const char *const *types);
extern PnsFilter pns_filter_close_if_type(PnsBsonBuilder *builder, bool otherwise);
extern void pns_filter_append_path(PnsBsonBuilder *builder, const char *key, const char *path);
extern void pns_filter_append_types(PnsBsonBuilder *builder, const char *const *types);
extern void pns_filter_append_scalars(PnsBsonBuilder *builder, const char *key,
									  List *scalars);

/* ---------- pipeline.c ---------- */

extern char *pns_fdw_command_text(const PnsTable *table, PnsDocument pipeline,
								  PnsDocument options);
extern PnsDocument pns_fdw_empty_document(void);

/* ---------- plan.c ---------- */

extern void pnsGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid relid);
extern void pnsGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid relid);
extern ForeignScan *pnsGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
									  ForeignPath *best_path, List *tlist,
									  List *scan_clauses, Plan *outer_plan);

/* ---------- local_join.c ---------- */

extern void pns_fdw_init_local_join(void);

/* ---------- scan.c ---------- */

extern void pnsBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *pnsIterateForeignScan(ForeignScanState *node);
extern bool pnsRecheckForeignScan(ForeignScanState *node, TupleTableSlot *slot);
extern void pnsReScanForeignScan(ForeignScanState *node);
extern void pnsEndForeignScan(ForeignScanState *node);
extern void pnsExplainForeignScan(ForeignScanState *node, struct ExplainState *es);
extern void pns_fdw_set_keys(ForeignScanState *node, const Datum *arrays);
extern bool pns_fdw_guard_keys(ForeignScanState *node);

/* ---------- explain.c ---------- */

extern void pns_fdw_explain_use(const PnsRemoteUse *use, struct ExplainState *es);

/* ---------- async.c ---------- */

extern bool pnsIsForeignPathAsyncCapable(ForeignPath *path);
extern void pnsForeignAsyncRequest(AsyncRequest *areq);
extern void pnsForeignAsyncConfigureWait(AsyncRequest *areq);
extern void pnsForeignAsyncNotify(AsyncRequest *areq);

/* in scan.c, for this file */
extern PnsCursor *pns_fdw_scan_cursor(ForeignScanState *node);

/* ---------- statistics.c ---------- */

/* What the server knows of a collection's size. */
typedef struct PnsCollectionStats
{
	double		documents;
	double		bytes;			/* of all documents, uncompressed */
} PnsCollectionStats;

extern PnsCollectionStats pns_fdw_collection_stats(const PnsTable *table, Oid userid,
												   bool fresh);
extern char *pns_fdw_collection_type(PnsConnection *connection, const PnsTable *table);

/* ---------- index.c ---------- */

/* An index of a collection. */
typedef struct PnsIndex
{
	char	   *name;
	List	   *paths;			/* C strings, as PnsTableColumn.native says
								 * them */
	List	   *descending;		/* of Integer: is each in descending order? */
	bool		sparse;			/* documents without the fields are not in it */
} PnsIndex;

extern List *pns_fdw_known_indexes(const PnsTable *table, Oid userid);
extern void pns_fdw_learn_indexes(const PnsTable *table, Oid userid);
extern bool pns_fdw_is_analyzed(Oid relid);

/* ---------- analyze.c ---------- */

extern bool pnsAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
								   BlockNumber *totalpages);

extern PnsDocument pns_fdw_sample_pipeline(int size);
extern PnsDocument pns_fdw_sample_options(void);

/* ---------- fields.c ---------- */

/* The kinds of values that a field was seen, or is declared, to have; bits. */
typedef enum PnsKind
{
	PNS_KIND_INT32 = 1 << 0,
	PNS_KIND_INT64 = 1 << 1,
	PNS_KIND_DOUBLE = 1 << 2,
	PNS_KIND_DECIMAL = 1 << 3,
	PNS_KIND_BOOL = 1 << 4,
	PNS_KIND_STRING = 1 << 5,
	PNS_KIND_OBJECTID = 1 << 6,
	PNS_KIND_DATE = 1 << 7,
	PNS_KIND_UUID = 1 << 8,
	PNS_KIND_BINARY = 1 << 9,
	PNS_KIND_DOCUMENT = 1 << 10,
	PNS_KIND_ARRAY = 1 << 11,
	PNS_KIND_OTHER = 1 << 12	/* only json can hold it */
} PnsKind;

/* A field of the documents of a collection, or the documents themselves. */
typedef struct PnsField
{
	char	   *key;
	int			kinds;			/* of PnsKind */
	int			element_kinds;	/* of an array's elements */
	List	   *fields;			/* of PnsField: those of a sub-document */
} PnsField;

extern void pns_fdw_learn_document(PnsField *field, PnsDocument document);
extern void pns_fdw_learn_schema(PnsField *field, PnsDocument schema);
extern const char *pns_fdw_field_type(const PnsField *field);

/* ---------- import.c ---------- */

extern List *pnsImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverid);

#endif							/* PNS_FDW_PRIVATE_H */
