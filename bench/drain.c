/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  Reads all documents of a collection with the MongoDB driver alone, and
 *	  prints their number and how many seconds that took.
 *
 * This is what any program that uses the driver has to pay at least: the
 * driver's own stream and cursor, and nothing done with the documents.
 *
 *	  drain URI DATABASE COLLECTION
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include <mongoc/mongoc.h>

/*
 * main drains one aggregation with the driver's own cursor and prints the
 * documents and the seconds that it took.
 */
int
main(int argc, char **argv)
{
	mongoc_client_t *client;
	mongoc_collection_t *collection;
	mongoc_cursor_t *cursor;
	bson_t		pipeline = BSON_INITIALIZER;
	const bson_t *document;
	bson_error_t error;
	long		count = 0;
	int64_t		began;
	int64_t		ended;

	if (argc != 4)
	{
		fprintf(stderr, "usage: %s URI DATABASE COLLECTION\n", argv[0]);
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
	if (!mongoc_client_command_simple(client, "admin",
									  BCON_NEW("ping", BCON_INT32(1)),
									  NULL, NULL, &error))
	{
		fprintf(stderr, "%s\n", error.message);
		return EXIT_FAILURE;
	}

	collection = mongoc_client_get_collection(client, argv[2], argv[3]);
	began = bson_get_monotonic_time();
	cursor = mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE,
										 &pipeline, NULL, NULL);
	while (mongoc_cursor_next(cursor, &document))
		count++;
	ended = bson_get_monotonic_time();
	if (mongoc_cursor_error(cursor, &error))
	{
		fprintf(stderr, "%s\n", error.message);
		return EXIT_FAILURE;
	}
	printf("%ld %.6f\n", count, (double) (ended - began) / 1000000);

	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return EXIT_SUCCESS;
}
