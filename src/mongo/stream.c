/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The driver's stream over a socket whose waits a cancel can end.
 *
 * The driver's own stream waits in poll(2), where a backend is deaf.  Ours
 * waits in pns_base_wait.  What makes a cancel end any wait of the driver:
 *
 * - readv and writev return -1 with ECANCELED, and everything that comes after
 *	 is refused at once, so that the driver has no way but out;
 * - poll reports every stream as ready and broken; were it to return an
 *	 error, the driver's scan would call it again and again until its own
 *	 time-out;
 * - a read that may not wait and finds nothing leaves EAGAIN in errno, not
 *	 ETIMEDOUT, because the TLS layer above takes only the former as "later".
 *
 * Nothing here throws or allocates from PostgreSQL's memory contexts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mongo/private.h"

#include "storage/fd.h"
#include "storage/latch.h"

/* The driver asks only that a type of our own differs from its own types. */
#define PNS_STREAM_TYPE 100

/* Of a message of the protocol, in bytes. */
#define PNS_HEADER_SIZE 16
#define PNS_MESSAGE_MAX 48000000

/* As the driver sets them on its own sockets, in seconds. */
#define PNS_KEEPALIVE_IDLE 120
#define PNS_KEEPALIVE_INTERVAL 10
#define PNS_KEEPALIVE_COUNT 9

typedef struct PnsStream
{
	mongoc_stream_t base;		/* first: the driver casts */
	PnsTransport *transport;
	int			fd;				/* -1 once closed */
	int			last_errno;		/* of the last read or write */
	char		host[BSON_HOST_NAME_MAX + 7];
	dlist_node	node;			/* in transport->streams */
} PnsStream;

static mongoc_stream_t *start_tls(mongoc_stream_t *stream,
								  PnsTransport *transport, const char *host,
								  int64 deadline, bson_error_t *error);
static int	connect_host(PnsTransport *transport,
						 const mongoc_host_list_t *host, int64 deadline,
						 bson_error_t *error);
static int	connect_address(PnsTransport *transport, int family,
							const struct sockaddr *address,
							socklen_t size, int64 deadline);
static int	connect_socket(PnsTransport *transport, int fd,
						   const struct sockaddr *address,
						   socklen_t size, int64 deadline);
static void set_socket_options(int fd, int family);
static PnsStream *stream_create(PnsTransport *transport, int fd,
								const char *host);
static void stream_destroy(mongoc_stream_t *stream);
static int	stream_close(mongoc_stream_t *stream);
static int	stream_flush(mongoc_stream_t *stream);
static ssize_t stream_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov,
							 size_t iovcnt, int32_t timeout_msec);
static ssize_t stream_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov,
							size_t iovcnt, size_t min_bytes,
							int32_t timeout_msec);
static void note_stage(PnsTransport *transport, PnsStage stage);
static void note_answer(PnsTransport *transport, const mongoc_iovec_t *iov,
						size_t bytes);
static int	stream_setsockopt(mongoc_stream_t *stream, int level, int optname,
							  void *optval, mongoc_socklen_t optlen);
static bool stream_check_closed(mongoc_stream_t *stream);
static ssize_t stream_poll(mongoc_stream_poll_t *polls, size_t npolls,
						   int32_t timeout_msec);
static ssize_t poll_broken(mongoc_stream_poll_t *polls, size_t npolls);
static void stream_failed(mongoc_stream_t *stream);
static bool stream_timed_out(mongoc_stream_t *stream);
static bool stream_should_retry(mongoc_stream_t *stream);
static void iov_advance(mongoc_iovec_t **iov, size_t *iovcnt, size_t bytes);
static int	wait_for(PnsTransport *transport, int fd, int events,
					 int64 deadline);
static PnsWaitResult wait_sockets(PnsTransport *transport,
								  PnsWaitSocket *sockets, int nsockets,
								  int64 deadline);
static PnsWaitResult note_wait(PnsTransport *transport, PnsWaitResult result,
							   int64 deadline);
static int64 deadline_of(const PnsTransport *transport, int64 timeout_msec);
static int64 left_of(int64 deadline);

/*
 * pns_mongo_transport_init prepares the transport of a client for uri.  The
 * strings of the TLS settings are the uri's own and the caller's: all must live
 * as long as the transport.
 */
void
pns_mongo_transport_init(PnsTransport *transport, const mongoc_uri_t *uri,
						 const char *ca_directory, const char *crl_file)
{
	const char *mechanism = mongoc_uri_get_auth_mechanism(uri);

	memset(transport, 0, sizeof(*transport));
	dlist_init(&transport->streams);

	transport->use_tls = mongoc_uri_get_tls(uri) ||
		(mechanism != NULL && pg_strcasecmp(mechanism, "MONGODB-X509") == 0);
	if (!transport->use_tls)
		return;

	transport->ssl.pem_file =
		mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL);
	transport->ssl.pem_pwd =
		mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, NULL);
	transport->ssl.ca_file =
		mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, NULL);
	transport->ssl.ca_dir = ca_directory;
	transport->ssl.crl_file = crl_file;
	transport->ssl.weak_cert_validation =
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, false) ||
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
	transport->ssl.allow_invalid_hostname =
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, false) ||
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
}

/*
 * pns_mongo_open_stream is the initiator that the driver calls for each host:
 * it connects, and does the TLS handshake where there is one, before it
 * returns.  The driver's own would use no buffering over the socket either.
 *
 * The name is resolved by libc, which nothing can interrupt; the time-outs of
 * resolv.conf bound it.
 */
mongoc_stream_t *
pns_mongo_open_stream(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
					  void *arg, bson_error_t *error)
{
	PnsTransport *transport = arg;
	int64		timeout = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS,
														 MONGOC_DEFAULT_CONNECTTIMEOUTMS);
	int64		deadline = deadline_of(transport, timeout);
	mongoc_stream_t *stream;
	int			fd;

	if (transport->interrupted)
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
					   "canceled");
		return NULL;
	}
	if (transport->only_host != NULL &&
		strcmp(transport->only_host, host->host_and_port) != 0)
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
					   "not the host wanted");
		return NULL;
	}

	fd = connect_host(transport, host, deadline, error);
	if (fd < 0)
		return NULL;
	note_stage(transport, PNS_STAGE_CONNECTED);

	stream = &stream_create(transport, fd, host->host_and_port)->base;
	if (transport->use_tls)
		stream = start_tls(stream, transport, host->host, deadline, error);
	if (stream == NULL)
		return NULL;
	note_stage(transport, PNS_STAGE_SECURED);
	return pns_mongo_check_stream(stream, transport,
								  !bson_empty0(mongoc_uri_get_compressors(uri)));
}

/*
 * pns_mongo_transport_quiet tells whether no stream has anything to say.  On
 * a connection at rest there is nothing to receive but the news that the peer
 * has gone.
 */
bool
pns_mongo_transport_quiet(PnsTransport *transport)
{
	dlist_iter	iter;

	dlist_foreach(iter, &transport->streams)
	{
		PnsStream  *stream = dlist_container(PnsStream, node, iter.cur);
		char		byte;

		if (stream->fd < 0 ||
			recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
			(errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			return false;
	}
	return true;
}

/*
 * pns_mongo_transport_close closes the sockets of a client that cannot be
 * destroyed.
 */
void
pns_mongo_transport_close(PnsTransport *transport)
{
	dlist_iter	iter;

	dlist_foreach(iter, &transport->streams)
		stream_close(&dlist_container(PnsStream, node, iter.cur)->base);
}

/*
 * start_tls puts TLS over a connected stream, and gives the outer stream.
 * NULL, with the inner one destroyed, where the handshake fails.
 */
static mongoc_stream_t *
start_tls(mongoc_stream_t *stream, PnsTransport *transport, const char *host,
		  int64 deadline, bson_error_t *error)
{
	mongoc_stream_t *tls;

	tls = mongoc_stream_tls_new_with_hostname(stream, host, &transport->ssl, 1);
	if (tls == NULL)
	{
		mongoc_stream_destroy(stream);
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
					   "%s", pns_mongo_last_note());
		return NULL;
	}
	if (!mongoc_stream_tls_handshake_block(tls, host,
										   (int32_t) left_of(deadline), error))
	{
		mongoc_stream_destroy(tls);
		return NULL;
	}
	return tls;
}

/*
 * connect_host gives a connected socket, or -1 and error.  Each address that
 * the name resolves to is tried, with an equal share of the time left: a dead
 * first one must not use up what the second needs.
 */
static int
connect_host(PnsTransport *transport, const mongoc_host_list_t *host,
			 int64 deadline, bson_error_t *error)
{
	struct addrinfo hints = {0};
	struct addrinfo *addresses;
	char		service[8];
	int			naddresses = 0;
	int			fd = -1;
	int			rc;

	if (host->family == AF_UNIX)
	{
		struct sockaddr_un address = {0};

		address.sun_family = AF_UNIX;
		strlcpy(address.sun_path, host->host, sizeof(address.sun_path));
		fd = connect_address(transport, AF_UNIX, (struct sockaddr *) &address,
							 sizeof(address), deadline);
	}
	else
	{
		hints.ai_family = AF_UNSPEC;
		hints.ai_socktype = SOCK_STREAM;
		snprintf(service, sizeof(service), "%u", host->port);
		rc = getaddrinfo(host->host, service, &hints, &addresses);
		if (rc != 0)
		{
			bson_set_error(error, MONGOC_ERROR_STREAM,
						   MONGOC_ERROR_STREAM_NAME_RESOLUTION,
						   "could not resolve \"%s\": %s", host->host,
						   gai_strerror(rc));
			return -1;
		}
		for (struct addrinfo *a = addresses; a != NULL; a = a->ai_next)
			naddresses++;
		for (struct addrinfo *a = addresses; a != NULL && fd < 0; a = a->ai_next)
			fd = connect_address(transport, a->ai_family, a->ai_addr, a->ai_addrlen,
								 bson_get_monotonic_time() +
								 left_of(deadline) * 1000 / naddresses--);
		rc = errno;
		freeaddrinfo(addresses);
		errno = rc;
	}

	if (fd < 0)
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
					   "could not connect to \"%s\": %s", host->host_and_port,
					   strerror(errno));
	return fd;
}

/*
 * connect_address gives a connected socket, or -1 and errno.  The descriptor
 * is counted among those that PostgreSQL keeps for others than its own files.
 */
static int
connect_address(PnsTransport *transport, int family,
				const struct sockaddr *address, socklen_t size, int64 deadline)
{
	int			fd;
	int			saved_errno;

	if (transport->interrupted)
	{
		errno = ECANCELED;
		return -1;
	}
	if (!AcquireExternalFD())
		return -1;
	fd = socket(family, SOCK_STREAM, 0);
	if (fd >= 0)
	{
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		set_socket_options(fd, family);
		if (connect_socket(transport, fd, address, size, deadline) == 0)
			return fd;
	}

	saved_errno = errno;
	if (fd >= 0)
		close(fd);
	ReleaseExternalFD();
	errno = saved_errno;
	return -1;
}

/* connect_socket connects one socket: 0, or -1 and errno. */
static int
connect_socket(PnsTransport *transport, int fd, const struct sockaddr *address,
			   socklen_t size, int64 deadline)
{
	int			result = 0;
	socklen_t	result_size = sizeof(result);

	if (connect(fd, address, size) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -1;
	result = wait_for(transport, fd, WL_SOCKET_CONNECTED, deadline);
	if (result == 0 &&
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &result_size) != 0)
		return -1;
	errno = result;
	return result == 0 ? 0 : -1;
}

/*
 * set_socket_options sets what the driver sets on its own sockets.  Failures
 * cost speed, or the early notice of a dead peer, and no more.
 */
static void
set_socket_options(int fd, int family)
{
	static const struct
	{
		int			level;
		int			name;
		int			value;
	}			options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
#ifdef TCP_KEEPIDLE
		{IPPROTO_TCP, TCP_KEEPIDLE, PNS_KEEPALIVE_IDLE},
#endif
#ifdef TCP_KEEPINTVL
		{IPPROTO_TCP, TCP_KEEPINTVL, PNS_KEEPALIVE_INTERVAL},
#endif
#ifdef TCP_KEEPCNT
		{IPPROTO_TCP, TCP_KEEPCNT, PNS_KEEPALIVE_COUNT},
#endif
	};
	int			i;

	if (family == AF_UNIX)
		return;
	for (i = 0; i < lengthof(options); i++)
		setsockopt(fd, options[i].level, options[i].name,
				   &options[i].value, sizeof(options[i].value));
}

/* stream_create makes the stream of a connected socket. */
static PnsStream *
stream_create(PnsTransport *transport, int fd, const char *host)
{
	PnsStream  *stream = bson_malloc0(sizeof(PnsStream));

	stream->base.type = PNS_STREAM_TYPE;
	stream->base.destroy = stream_destroy;
	stream->base.close = stream_close;
	stream->base.flush = stream_flush;
	stream->base.writev = stream_writev;
	stream->base.readv = stream_readv;
	stream->base.setsockopt = stream_setsockopt;
	stream->base.check_closed = stream_check_closed;
	stream->base.poll = stream_poll;
	stream->base.failed = stream_failed;
	stream->base.timed_out = stream_timed_out;
	stream->base.should_retry = stream_should_retry;
	stream->transport = transport;
	stream->fd = fd;
	strlcpy(stream->host, host, sizeof(stream->host));
	dlist_push_tail(&transport->streams, &stream->node);
	return stream;
}

/* stream_destroy closes the socket and frees the stream. */
static void
stream_destroy(mongoc_stream_t *stream)
{
	PnsStream  *self = (PnsStream *) stream;

	stream_close(stream);
	dlist_delete(&self->node);
	bson_free(self);
}

/* stream_failed is the driver's word for destroying after a failure. */
static void
stream_failed(mongoc_stream_t *stream)
{
	stream_destroy(stream);
}

/* stream_close closes the socket, once. */
static int
stream_close(mongoc_stream_t *stream)
{
	PnsStream  *self = (PnsStream *) stream;

	if (self->fd >= 0)
	{
		close(self->fd);
		ReleaseExternalFD();
		self->fd = -1;
	}
	return 0;
}

/* stream_flush has nothing to do: nothing is buffered. */
static int
stream_flush(mongoc_stream_t *stream)
{
	return 0;
}

/*
 * stream_writev sends all of iov, waiting for room where it must.  It returns
 * the number of bytes, or -1 and errno; iov is used up on the way, as the
 * driver's own streams do it.
 */
static ssize_t
stream_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt,
			  int32_t timeout_msec)
{
	PnsStream  *self = (PnsStream *) stream;
	int64		deadline = deadline_of(self->transport, timeout_msec);
	ssize_t		total = 0;

	strlcpy(self->transport->last_host, self->host, sizeof(self->host));
	self->transport->last_fd = self->fd;
	while (iovcnt > 0)
	{
		struct msghdr message = {0};
		ssize_t		sent = -1;

		message.msg_iov = iov;
		message.msg_iovlen = Min(iovcnt, IOV_MAX);
		if (self->transport->interrupted)
			errno = ECANCELED;
		else
			sent = sendmsg(self->fd, &message, MSG_NOSIGNAL);

		if (sent >= 0)
		{
			total += sent;
			iov_advance(&iov, &iovcnt, sent);
			continue;
		}
		if (errno == EINTR)
			continue;
		self->last_errno = errno;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			self->last_errno = wait_for(self->transport, self->fd,
										WL_SOCKET_WRITEABLE, deadline);
		if (self->last_errno != 0)
		{
			self->transport->failed = true;
			errno = self->last_errno;
			return -1;
		}
	}
	return total;
}

/*
 * stream_readv receives into iov until it is full or, at less, has min_bytes;
 * where those are 0, until it has anything.  It returns the number of bytes,
 * 0 at the end of what the peer sends, or -1 and errno.
 */
static ssize_t
stream_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt,
			 size_t min_bytes, int32_t timeout_msec)
{
	PnsStream  *self = (PnsStream *) stream;
	int64		deadline = deadline_of(self->transport, timeout_msec);
	ssize_t		total = 0;

	self->last_errno = 0;
	while (iovcnt > 0)
	{
		ssize_t		got = -1;

		if (self->transport->interrupted)
			errno = ECANCELED;
		else
			got = readv(self->fd, iov, Min(iovcnt, IOV_MAX));

		if (got > 0)
		{
			note_answer(self->transport, iov, got);
			total += got;
			if (total >= Max(min_bytes, 1))
				return total;
			iov_advance(&iov, &iovcnt, got);
			continue;
		}
		if (got == 0)
		{
			self->transport->failed = true;
			self->last_errno = errno = (min_bytes == 0) ? 0 : ECONNRESET;
			return (min_bytes == 0) ? 0 : -1;
		}
		if (errno == EINTR)
			continue;
		self->last_errno = errno;
		if ((errno == EAGAIN || errno == EWOULDBLOCK) && timeout_msec != 0)
			self->last_errno = wait_for(self->transport, self->fd,
										WL_SOCKET_READABLE, deadline);
		if (self->last_errno != 0)
		{
			if (self->last_errno != EAGAIN)
				self->transport->failed = true;
			errno = self->last_errno;
			return -1;
		}
	}
	return total;
}

/* note_stage remembers how far any of a client's streams has come. */
static void
note_stage(PnsTransport *transport, PnsStage stage)
{
	transport->stage = Max(transport->stage, stage);
}

/*
 * note_answer looks whether the first thing received is the length of a
 * message, as only MongoDB begins with one.  Within TLS that cannot be seen.
 */
static void
note_answer(PnsTransport *transport, const mongoc_iovec_t *iov, size_t bytes)
{
	uint32		length = 0;

	if (transport->stage != PNS_STAGE_SECURED)
		return;
	memcpy(&length, iov->iov_base, Min(bytes, sizeof(length)));
	length = BSON_UINT32_FROM_LE(length);
	if (transport->use_tls ||
		(length >= PNS_HEADER_SIZE && length <= PNS_MESSAGE_MAX))
		note_stage(transport, PNS_STAGE_ANSWERED);
}

/* stream_setsockopt sets an option of the socket. */
static int
stream_setsockopt(mongoc_stream_t *stream, int level, int optname,
				  void *optval, mongoc_socklen_t optlen)
{
	return setsockopt(((PnsStream *) stream)->fd, level, optname, optval, optlen);
}

/* stream_check_closed tells whether the peer has closed the connection. */
static bool
stream_check_closed(mongoc_stream_t *stream)
{
	PnsStream  *self = (PnsStream *) stream;
	char		byte;
	ssize_t		got;

	if (self->fd < 0 || self->transport->interrupted)
		return true;
	got = recv(self->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return got == 0 ||
		(got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/*
 * stream_poll waits until one of several streams is ready, and returns how
 * many are, or 0 at the time-out.  All are of one client.
 */
static ssize_t
stream_poll(mongoc_stream_poll_t *polls, size_t npolls, int32_t timeout_msec)
{
	PnsTransport *transport = ((PnsStream *) polls[0].stream)->transport;
	int64		deadline = deadline_of(transport, timeout_msec);
	PnsWaitSocket *sockets;
	PnsWaitResult result;
	ssize_t		nready = 0;

	if (transport->interrupted)
		return poll_broken(polls, npolls);

	sockets = bson_malloc0(sizeof(PnsWaitSocket) * npolls);
	for (size_t i = 0; i < npolls; i++)
	{
		sockets[i].fd = ((PnsStream *) polls[i].stream)->fd;
		if (polls[i].events & POLLIN)
			sockets[i].events |= WL_SOCKET_READABLE;
		if (polls[i].events & POLLOUT)
			sockets[i].events |= WL_SOCKET_WRITEABLE;
	}
	result = wait_sockets(transport, sockets, (int) npolls, deadline);
	for (size_t i = 0; i < npolls; i++)
	{
		polls[i].revents = 0;
		if (sockets[i].ready & WL_SOCKET_READABLE)
			polls[i].revents |= POLLIN;
		if (sockets[i].ready & WL_SOCKET_WRITEABLE)
			polls[i].revents |= POLLOUT;
		if (polls[i].revents != 0)
			nready++;
	}
	bson_free(sockets);

	if (result == PNS_WAIT_INTERRUPTED || result == PNS_WAIT_FAILED ||
		transport->expired)
		return poll_broken(polls, npolls);
	return nready;
}

/* poll_broken reports all streams as broken, the only way out of a scan. */
static ssize_t
poll_broken(mongoc_stream_poll_t *polls, size_t npolls)
{
	for (size_t i = 0; i < npolls; i++)
		polls[i].revents = POLLERR | POLLHUP;
	return (ssize_t) npolls;
}

/* stream_timed_out tells whether the last read or write ran out of time. */
static bool
stream_timed_out(mongoc_stream_t *stream)
{
	return ((PnsStream *) stream)->last_errno == ETIMEDOUT;
}

/* stream_should_retry tells whether the last read or write came too early. */
static bool
stream_should_retry(mongoc_stream_t *stream)
{
	return ((PnsStream *) stream)->last_errno == EAGAIN;
}

/* iov_advance steps over the bytes of iov that have been dealt with. */
static void
iov_advance(mongoc_iovec_t **iov, size_t *iovcnt, size_t bytes)
{
	while (*iovcnt > 0 && bytes >= (*iov)->iov_len)
	{
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*iovcnt)--;
	}
	if (*iovcnt > 0)
	{
		(*iov)->iov_base = (char *) (*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
}

/* wait_for waits for one socket: 0 when it is ready, else what to put in errno. */
static int
wait_for(PnsTransport *transport, int fd, int events, int64 deadline)
{
	PnsWaitSocket socket = {fd, events, 0};

	switch (wait_sockets(transport, &socket, 1, deadline))
	{
		case PNS_WAIT_READY:
			return 0;
		case PNS_WAIT_TIMEOUT:
			return ETIMEDOUT;
		case PNS_WAIT_INTERRUPTED:
			return ECANCELED;
		case PNS_WAIT_FAILED:
			break;
	}
	return EMFILE;
}

/*
 * wait_sockets is where all of the room's waiting happens.
 *
 * After an interrupt it goes on for PNS_GRACE_TIMEOUT, deaf.  Mostly the
 * answer comes within that time; then the connection stays good, and a cursor
 * that the answer has opened can be closed.  If it does not come, the transport
 * is shut for good.
 */
static PnsWaitResult
wait_sockets(PnsTransport *transport, PnsWaitSocket *sockets, int nsockets,
			 int64 deadline)
{
	PnsWaitResult result;

	if (!transport->deaf)
	{
		result = pns_base_wait(sockets, nsockets, left_of(deadline));
		if (result != PNS_WAIT_INTERRUPTED)
			return note_wait(transport, result, deadline);
		if (!transport->tested)
		{
			transport->interrupted = true;
			return result;
		}
		transport->grace = transport->deaf = true;
		transport->deadline = bson_get_monotonic_time() + PNS_GRACE_TIMEOUT * 1000;
	}

	deadline = Min(deadline, transport->deadline);
	result = pns_base_wait_deaf(sockets, nsockets, left_of(deadline));
	if (transport->grace && result == PNS_WAIT_TIMEOUT)
	{
		transport->interrupted = true;
		return PNS_WAIT_INTERRUPTED;
	}
	return note_wait(transport, result, deadline);
}

/* note_wait remembers that a wait went on to the transport's own deadline. */
static PnsWaitResult
note_wait(PnsTransport *transport, PnsWaitResult result, int64 deadline)
{
	if (result == PNS_WAIT_TIMEOUT && deadline == transport->deadline)
		transport->expired = true;
	return result;
}

/*
 * deadline_of turns a time-out of the driver (less than 0: none) into a point
 * in time, not later than the transport's own.
 */
static int64
deadline_of(const PnsTransport *transport, int64 timeout_msec)
{
	int64		deadline = PG_INT64_MAX;

	if (timeout_msec >= 0)
		deadline = bson_get_monotonic_time() + timeout_msec * 1000;
	if (transport->deadline != 0)
		deadline = Min(deadline, transport->deadline);
	return deadline;
}

/* left_of gives the milliseconds until deadline, -1 where there is none. */
static int64
left_of(int64 deadline)
{
	if (deadline == PG_INT64_MAX)
		return -1;
	return Max((deadline - bson_get_monotonic_time() + 999) / 1000, 0);
}
