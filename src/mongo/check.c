/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Looking at what a server sends before the driver does.
 *
 * The driver trusts its server: a message whose lengths contradict each other
 * makes it read past its buffer, or abort the process.  In a backend either
 * takes the whole cluster down.  So this stream stands above all others and
 * passes on whole and well-formed messages only.
 *
 * Of a cursor's batches only the lengths are looked at here; cursor.c walks
 * the documents in them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

/* The driver asks only that a type of our own differs from its own types. */
#define PNS_CHECKED_STREAM_TYPE 101

/* The codes of messages that a server can send. */
#define OPCODE_REPLY 1
#define OPCODE_COMPRESSED 2012
#define OPCODE_MSG 2013

/* Where things are in a message, counted from behind its length. */
#define OPCODE_AT 8
#define MSG_FLAGS_AT 12
#define MSG_SECTION_AT 16
#define REPLY_DOCUMENTS_AT 32

#define MSG_FLAG_CHECKSUM 1

/* Levels of documents within a reply, those of batches not counted. */
#define MAX_DEPTH 100

typedef struct CheckedStream
{
	mongoc_stream_t base;		/* first: the driver casts */
	mongoc_stream_t *inner;
	PnsTransport *transport;
	bool		compressed;		/* were compressed messages asked for? */
	bool		original;		/* made with the client, not for a reconnect */

	/* of the message that is coming */
	uint8		head[4];		/* its size */
	uint8	   *pieces;			/* what follows, where it comes in pieces */
	uint32		have;			/* bytes so far */
} CheckedStream;

static void checked_destroy(mongoc_stream_t *stream);
static void checked_failed(mongoc_stream_t *stream);
static int	checked_close(mongoc_stream_t *stream);
static int	checked_flush(mongoc_stream_t *stream);
static ssize_t checked_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov,
							  size_t iovcnt, int32_t timeout_msec);
static ssize_t checked_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov,
							 size_t iovcnt, size_t min_bytes,
							 int32_t timeout_msec);
static int	checked_setsockopt(mongoc_stream_t *stream, int level, int optname,
							   void *optval, mongoc_socklen_t optlen);
static mongoc_stream_t *checked_base(mongoc_stream_t *stream);
static bool checked_check_closed(mongoc_stream_t *stream);
static bool checked_timed_out(mongoc_stream_t *stream);
static bool checked_should_retry(mongoc_stream_t *stream);
static bool take(CheckedStream *self, const uint8 *data, size_t size);
static bool is_sound_message(const CheckedStream *self, const uint8 *data,
							 size_t size);
static bool is_sound_document(const uint8 *data, size_t size, int depth,
							  bool cursor);
static uint32 read_uint32(const uint8 *data);

/*
 * pns_mongo_check_stream puts the checks above a stream that is ready for
 * messages.  It owns that stream.
 */
mongoc_stream_t *
pns_mongo_check_stream(mongoc_stream_t *inner, PnsTransport *transport,
					   bool compressed)
{
	CheckedStream *self = bson_malloc0(sizeof(CheckedStream));

	self->base.type = PNS_CHECKED_STREAM_TYPE;
	self->base.destroy = checked_destroy;
	self->base.failed = checked_failed;
	self->base.close = checked_close;
	self->base.flush = checked_flush;
	self->base.writev = checked_writev;
	self->base.readv = checked_readv;
	self->base.setsockopt = checked_setsockopt;
	self->base.get_base_stream = checked_base;
	self->base.check_closed = checked_check_closed;
	self->base.timed_out = checked_timed_out;
	self->base.should_retry = checked_should_retry;
	self->inner = inner;
	self->transport = transport;
	self->compressed = compressed;
	self->original = !transport->tested;
	return &self->base;
}

/*
 * checked_readv receives, and lets nothing pass after the first message that
 * is not well formed.  The driver reads into one block at a time.
 */
static ssize_t
checked_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt,
			  size_t min_bytes, int32_t timeout_msec)
{
	CheckedStream *self = (CheckedStream *) stream;
	const uint8 *data = (const uint8 *) iov->iov_base;
	ssize_t		size;

	if (iovcnt != 1)
	{
		errno = EINVAL;
		return -1;
	}
	if (self->original && self->transport->half == PNS_HALF_SEND)
		return pns_mongo_half_readv(self->transport, iov);
	size = mongoc_stream_readv(self->inner, iov, iovcnt, min_bytes, timeout_msec);
	if (size > 0 && !take(self, data, size))
	{
		self->transport->malformed = true;
		self->transport->failed = true;
		errno = EBADMSG;
		return -1;
	}
	return size;
}

/*
 * take looks at the next bytes: false where they end a message that is not
 * well formed.  A message is checked when it is complete; one that comes with
 * a single read, as all large ones do, is checked where it lies.
 */
static bool
take(CheckedStream *self, const uint8 *data, size_t size)
{
	while (size > 0)
	{
		size_t		wanted;
		size_t		part;
		bool		sound = true;

		if (self->have < sizeof(self->head))
		{
			self->head[self->have++] = *data++;
			size--;
			if (self->have == sizeof(self->head) &&
				read_uint32(self->head) < MSG_SECTION_AT)
				return false;
			continue;
		}

		wanted = read_uint32(self->head) - self->have;
		part = Min(wanted, size);
		if (self->have == sizeof(self->head) && part == wanted)
			sound = is_sound_message(self, data, part);
		else
		{
			size_t		old = self->have - sizeof(self->head);

			self->pieces = bson_realloc(self->pieces, old + part);
			memcpy(self->pieces + old, data, part);
			if (part == wanted)
				sound = is_sound_message(self, self->pieces, old + part);
		}
		if (!sound)
			return false;

		self->have = part == wanted ? 0 : self->have + part;
		data += part;
		size -= part;
	}
	return true;
}

/*
 * is_sound_message checks a message, all of it but its length.  What is
 * compressed cannot be looked at, so it must have been asked for.
 */
static bool
is_sound_message(const CheckedStream *self, const uint8 *data, size_t size)
{
	size_t		at = REPLY_DOCUMENTS_AT;

	if (size < MSG_SECTION_AT)
		return false;
	switch (read_uint32(data + OPCODE_AT))
	{
		case OPCODE_MSG:
			if (read_uint32(data + MSG_FLAGS_AT) & MSG_FLAG_CHECKSUM)
				size -= sizeof(uint32);
			return size > MSG_SECTION_AT && data[MSG_SECTION_AT] == 0 &&
				is_sound_document(data + MSG_SECTION_AT + 1,
								  size - MSG_SECTION_AT - 1, 0, false);
		case OPCODE_REPLY:
			return size > at &&
				is_sound_document(data + at, size - at, 0, false);
		case OPCODE_COMPRESSED:
			return self->compressed;
		default:
			return false;
	}
}

/*
 * is_sound_document checks that a document fills size bytes, and that what is
 * in it ends where it says.  With cursor it is a reply's cursor, whose arrays
 * are batches.
 */
static bool
is_sound_document(const uint8 *data, size_t size, int depth, bool cursor)
{
	bson_t		document;
	bson_iter_t iter;

	if (depth > MAX_DEPTH || !bson_init_static(&document, data, size) ||
		!bson_iter_init(&iter, &document))
		return false;
	while (bson_iter_next(&iter))
	{
		const uint8_t *inner = NULL;
		uint32_t	inner_size = 0;

		if (BSON_ITER_HOLDS_DOCUMENT(&iter))
			bson_iter_document(&iter, &inner_size, &inner);
		else if (BSON_ITER_HOLDS_ARRAY(&iter) && !cursor)
			bson_iter_array(&iter, &inner_size, &inner);
		else
			continue;
		if (!is_sound_document(inner, inner_size, depth + 1,
							   depth == 0 && strcmp(bson_iter_key(&iter), "cursor") == 0))
			return false;
	}
	return iter.err_off == 0;
}

/* read_uint32 reads a number as it goes over the wire. */
static uint32
read_uint32(const uint8 *data)
{
	uint32		number;

	memcpy(&number, data, sizeof(number));
	return BSON_UINT32_FROM_LE(number);
}

/* checked_destroy frees the stream and the one below. */
static void
checked_destroy(mongoc_stream_t *stream)
{
	CheckedStream *self = (CheckedStream *) stream;

	mongoc_stream_destroy(self->inner);
	bson_free(self->pieces);
	bson_free(self);
}

/* checked_failed is the driver's word for destroying after a failure. */
static void
checked_failed(mongoc_stream_t *stream)
{
	CheckedStream *self = (CheckedStream *) stream;

	mongoc_stream_failed(self->inner);
	bson_free(self->pieces);
	bson_free(self);
}

/* checked_writev sends through the stream below, or does its half of that. */
static ssize_t
checked_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt,
			   int32_t timeout_msec)
{
	CheckedStream *self = (CheckedStream *) stream;

	if (self->original && self->transport->half != PNS_HALF_NONE)
		return pns_mongo_half_writev(self->transport, self->inner, iov, iovcnt,
									 timeout_msec);
	return mongoc_stream_writev(self->inner, iov, iovcnt, timeout_msec);
}

/* The rest is the business of the stream below. */

/* checked_close closes it. */
static int
checked_close(mongoc_stream_t *stream)
{
	return mongoc_stream_close(((CheckedStream *) stream)->inner);
}

/* checked_flush flushes it. */
static int
checked_flush(mongoc_stream_t *stream)
{
	return mongoc_stream_flush(((CheckedStream *) stream)->inner);
}

/* checked_setsockopt sets an option of its socket. */
static int
checked_setsockopt(mongoc_stream_t *stream, int level, int optname,
				   void *optval, mongoc_socklen_t optlen)
{
	return mongoc_stream_setsockopt(((CheckedStream *) stream)->inner, level,
									optname, optval, optlen);
}

/* checked_base is where the driver finds it, to wait for its socket. */
static mongoc_stream_t *
checked_base(mongoc_stream_t *stream)
{
	return ((CheckedStream *) stream)->inner;
}

/* checked_check_closed asks whether its peer has gone. */
static bool
checked_check_closed(mongoc_stream_t *stream)
{
	return mongoc_stream_check_closed(((CheckedStream *) stream)->inner);
}

/* checked_timed_out asks whether its last read or write ran out of time. */
static bool
checked_timed_out(mongoc_stream_t *stream)
{
	return mongoc_stream_timed_out(((CheckedStream *) stream)->inner);
}

/* checked_should_retry asks whether its last read or write came too early. */
static bool
checked_should_retry(mongoc_stream_t *stream)
{
	return mongoc_stream_should_retry(((CheckedStream *) stream)->inner);
}
