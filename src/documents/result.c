/*-------------------------------------------------------------------------
 *
 * result.c
 *	  Documents and their _ids as values of SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"

#include "documents/private.h"

/*
 * pns_documents_whole_decoder makes what turns whole documents into jsonb; in
 * the current context.
 */
PnsDecoder *
pns_documents_whole_decoder(const PnsTarget *target)
{
	PnsColumn	column = {
		.attnum = 1,
		.name = "document",
		.collection = pns_documents_label(target),
		.type = JSONBOID,
		.typmod = -1,
		.document = true,
		.has_no_options = true,
		.json_format = PNS_JSON_RELAXED
	};

	return pns_mongo_decoder_create(&column, 1);
}

/*
 * pns_documents_whole gives a document as jsonb, in the current context.
 * Errors: 22P02 and the like for a string that jsonb cannot hold.
 */
Datum
pns_documents_whole(PnsDecoder *decoder, PnsDocument document)
{
	Datum		value;
	bool		isnull;

	pns_mongo_decode(decoder, document, &value, &isnull);
	return value;
}

/* pns_documents_to_jsonb gives a single document as jsonb. */
Datum
pns_documents_to_jsonb(const PnsTarget *target, PnsDocument document)
{
	return pns_documents_whole(pns_documents_whole_decoder(target), document);
}

/*
 * pns_documents_id_text gives an _id as text: a string as it is, an ObjectId
 * as its 24 digits, anything else as Extended JSON.
 */
char *
pns_documents_id_text(PnsBsonValue id)
{
	StringInfoData text;
	const char *string;
	uint32		size;

	initStringInfo(&text);
	if (id.type == PNS_BSON_OBJECTID)
	{
		for (int i = 0; i < PNS_OBJECTID_SIZE; i++)
			appendStringInfo(&text, "%02x", id.data[i]);
		return text.data;
	}
	string = id.type == PNS_BSON_STRING ? pns_bson_value_string(&id, &size) : NULL;
	if (string != NULL && strlen(string) == size)
		return pg_any_to_server(string, size, PG_UTF8);
	if (!pns_json_append_value(&text, &id, PNS_JSON_SHOWN))
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("the _id of a document cannot be represented in the database's encoding")));
	return text.data;
}
