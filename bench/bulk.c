/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  Inserts documents with the MongoDB driver's own bulk writes, and prints
 *	  their number and how many seconds that took.
 *
 * This is what any program that uses the driver has to pay at least: making
 * the documents, and the driver's bulk operation over all of them.
 *
 *	  bulk URI DATABASE COLLECTION DOCUMENTS
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include <mongoc/mongoc.h>

static bool insert(mongoc_collection_t *collection, int count, bson_error_t *error);

/*
 * main inserts the documents and prints how many, and the seconds it took.
 */
int
main(int argc, char **argv)
{
	mongoc_client_t *client;
	mongoc_collection_t *collection;
	bson_t		ping = BSON_INITIALIZER;
	bson_error_t error;
	int64_t		began;
	int			count;

	if (argc != 5 || (count = atoi(argv[4])) <= 0)
	{
		fprintf(stderr, "usage: %s URI DATABASE COLLECTION DOCUMENTS\n", argv[0]);
		return EXIT_FAILURE;
	}

	mongoc_init();
	client = mongoc_client_new(argv[1]);
	if (client == NULL)
	{
		fprintf(stderr, "%s is no URI\n", argv[1]);
		return EXIT_FAILURE;
	}
	/* connect first: a backend keeps its connection too */
	BSON_APPEND_INT32(&ping, "ping", 1);
	if (!mongoc_client_command_simple(client, "admin", &ping, NULL, NULL, &error))
	{
		fprintf(stderr, "%s\n", error.message);
		return EXIT_FAILURE;
	}

	collection = mongoc_client_get_collection(client, argv[2], argv[3]);
	began = bson_get_monotonic_time();
	if (!insert(collection, count, &error))
	{
		fprintf(stderr, "%s\n", error.message);
		return EXIT_FAILURE;
	}
	printf("%d %.6f\n", count, (double) (bson_get_monotonic_time() - began) / 1000000);

	bson_destroy(&ping);
	mongoc_collection_destroy(collection);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return EXIT_SUCCESS;
}

/*
 * insert makes the documents that bench/write.py inserts by SQL, and inserts
 * them as one bulk operation.
 */
static bool
insert(mongoc_collection_t *collection, int count, bson_error_t *error)
{
	mongoc_bulk_operation_t *bulk =
	mongoc_collection_create_bulk_operation_with_opts(collection, NULL);
	bool		good;

	for (int i = 0; i < count; i++)
	{
		bson_t		document = BSON_INITIALIZER;
		char		sensor[32];

		snprintf(sensor, sizeof(sensor), "sensor-%04d", i % 97);
		BSON_APPEND_INT32(&document, "_id", i);
		BSON_APPEND_UTF8(&document, "sensor", sensor);
		BSON_APPEND_DATE_TIME(&document, "at", INT64_C(1767225600000) + INT64_C(1000) * i);
		BSON_APPEND_DOUBLE(&document, "value", i / 7.0);
		BSON_APPEND_INT64(&document, "samples", INT64_C(1000) * i);
		BSON_APPEND_BOOL(&document, "valid", i % 3 > 0);
		mongoc_bulk_operation_insert(bulk, &document);
		bson_destroy(&document);
	}
	good = mongoc_bulk_operation_execute(bulk, NULL, error) != 0;
	mongoc_bulk_operation_destroy(bulk);
	return good;
}
