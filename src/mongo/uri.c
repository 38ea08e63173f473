/*-------------------------------------------------------------------------
 *
 * uri.c
 *	  From options to the driver's uri, and what a uri may say.
 *
 * A uri is the only place where the driver takes its settings from, so the
 * options are laid over the uri that was given, or over a bare host and port.
 * User name and password are set on the parsed uri, where no character is
 * special.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "catalog/pg_foreign_server.h"
#include "mb/pg_wchar.h"

/* Milliseconds. */
#define PNS_DEFAULT_CONNECT_TIMEOUT 10000

#define PNS_DEFAULT_APPLICATION_NAME "pynomaly_store"

static mongoc_uri_t *parse_uri(const char *text, PnsHandle *owner);
static void throw_unparsable(const char *text, const char *reason) pg_attribute_noreturn();
static mongoc_uri_t *bare_uri(const char *host, int port, PnsHandle *owner);
static void check_uri_hosts(const PnsMongoOptions *options,
							const mongoc_uri_t *uri);
static bool same_hosts(const mongoc_uri_t *a, const mongoc_uri_t *b);
static void check_credentials(const PnsMongoOptions *options,
							  const mongoc_uri_t *uri);
static void throw_contradiction(const char *option) pg_attribute_noreturn();
static bool uri_has_secret(const mongoc_uri_t *uri);
static void overlay_credentials(mongoc_uri_t *uri,
								const PnsMongoOptions *options);
static void overlay_tls(mongoc_uri_t *uri, const PnsMongoOptions *options);
static void overlay_limits(mongoc_uri_t *uri, const PnsMongoOptions *options);
static void overlay_text(mongoc_uri_t *uri, const char *name,
						 const char *value);
static void overlay_switch(mongoc_uri_t *uri, const char *name,
						   PnsMongoSwitch value);
static PnsHandle *create_owner(void);
static void destroy_uri(void *uri);

/*
 * pns_mongo_build_uri gives the uri that says everything that the options do,
 * owned by the current context.  It resolves no name; that of mongodb+srv is
 * for the driver to resolve when it connects.
 */
PnsHandle *
pns_mongo_build_uri(const PnsMongoOptions *options)
{
	PnsHandle  *owner = create_owner();
	mongoc_uri_t *uri;

	if (options->uri != NULL)
	{
		uri = parse_uri(options->uri, owner);
		check_uri_hosts(options, uri);
		check_credentials(options, uri);
	}
	else
		uri = bare_uri(options->host, options->port, owner);

	overlay_credentials(uri, options);
	overlay_tls(uri, options);
	overlay_limits(uri, options);
	overlay_text(uri, MONGOC_URI_REPLICASET, options->replica_set);
	overlay_text(uri, MONGOC_URI_READPREFERENCE, options->read_preference);
	if (options->application_name != NULL)
		mongoc_uri_set_appname(uri, pns_text_from_server(options->application_name));
	else if (mongoc_uri_get_appname(uri) == NULL)
		mongoc_uri_set_appname(uri, PNS_DEFAULT_APPLICATION_NAME);
	return owner;
}

/*
 * pns_mongo_check_uri checks the option "uri" of one object at DDL time, also
 * against the object's other options.  What the driver leaves out because it
 * does not know it, it only notes.
 */
void
pns_mongo_check_uri(const PnsMongoOptions *options, Oid catalog)
{
	PnsHandle  *owner = create_owner();
	const char *const files[] = {MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE};
	mongoc_uri_t *uri;
	const char *mechanism;

	pns_mongo_forget_note();
	uri = parse_uri(options->uri, owner);
	mechanism = mongoc_uri_get_auth_mechanism(uri);
	if (strncmp(pns_mongo_last_note(), "Unsupported ", strlen("Unsupported ")) == 0)
		throw_unparsable(pns_text_from_server(options->uri), pns_mongo_last_note());

	if (catalog == ForeignServerRelationId && uri_has_secret(uri))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the option \"uri\" of a server cannot contain a password"),
				 errdetail("The options of a server can be read by everybody."),
				 errhint("Set \"username\" and \"password\", or the whole \"uri\", in the user mapping.")));
	if (mechanism != NULL)
		pns_mongo_check_mechanism("uri", mechanism);
	for (int i = 0; i < lengthof(files); i++)
	{
		const char *path = mongoc_uri_get_option_as_utf8(uri, files[i], NULL);

		if (path != NULL)
			pns_mongo_check_file("uri", path);
	}
	check_uri_hosts(options, uri);
	check_credentials(options, uri);
	pns_base_handle_release(owner);
}

/*
 * pns_mongo_check_same_hosts refuses a user mapping's uri that names other
 * hosts than the server's.
 */
void
pns_mongo_check_same_hosts(const char *server_uri, const char *mapping_uri)
{
	PnsHandle  *a = create_owner();
	PnsHandle  *b = create_owner();

	if (!same_hosts(parse_uri(server_uri, a), parse_uri(mapping_uri, b)))
		throw_contradiction("uri");
	pns_base_handle_release(a);
	pns_base_handle_release(b);
}

/* parse_uri parses text into owner, which it returns the object of. */
static mongoc_uri_t *
parse_uri(const char *text, PnsHandle *owner)
{
	const char *string = pns_text_from_server(text);
	bson_error_t error = {0};

	pns_mongo_start_driver();
	owner->object = mongoc_uri_new_with_error(string, &error);
	if (owner->object == NULL)
		throw_unparsable(string, error.message);
	/* the driver takes anything for the name of a host */
	for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(owner->object);
		 host != NULL; host = host->next)
	{
		if (strpbrk(host->host, " \t\r\n") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("the option \"uri\" is not a valid MongoDB URI"),
					 errdetail("The name of a host has a blank in it.")));
	}
	return owner->object;
}

/*
 * throw_unparsable reports why a uri does not parse, and never the uri.  The
 * driver quotes what it could not make sense of, and that may well be a
 * password with a special character in it; so its reason is passed on only
 * where there is no user name or password, or where it quotes nothing.
 */
static void
throw_unparsable(const char *text, const char *reason)
{
	bool		shown = *reason != '\0' &&
	(strchr(text, '@') == NULL || strpbrk(reason, "\"'[]=") == NULL);

	if (strchr(text, '?') != NULL && strcasestr(text, "password") != NULL)
		shown = false;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("the option \"uri\" is not a valid MongoDB URI"),
			 shown ? errdetail("The driver says: %s", pns_mongo_server_text(reason)) :
			 errdetail("The driver's reason is not shown because it could contain the password."),
			 errhint("A URI looks like \"mongodb://host:27017/?replicaSet=name\". In a user name and a password the characters : / ? # [ ] @ and %% are written as %%3A, %%2F and so on.")));
}

/*
 * bare_uri makes the uri of a host and a port into owner, which it returns the
 * object of.  host may be a name, an address, or the path of a socket.
 */
static mongoc_uri_t *
bare_uri(const char *host, int port, PnsHandle *owner)
{
	StringInfoData escaped;

	pns_mongo_start_driver();
	initStringInfo(&escaped);
	if (host == NULL)
		host = PNS_DEFAULT_HOST;
	if (*host == '/')
	{
		appendStringInfoString(&escaped, "mongodb://");
		for (const char *c = pns_text_from_server(host); *c != '\0'; c++)
			appendStringInfo(&escaped, isalnum((unsigned char) *c) ? "%c" : "%%%02X",
							 (unsigned char) *c);
		owner->object = mongoc_uri_new_with_error(escaped.data, NULL);
	}
	else
	{
		appendStringInfo(&escaped, strchr(host, ':') != NULL ? "[%s]" : "%s", pns_text_from_server(host));
		owner->object = mongoc_uri_new_for_host_port(escaped.data,
													 port == 0 ? MONGOC_DEFAULT_PORT : port);
	}
	if (owner->object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", "host", host)));
	return owner->object;
}

/* check_uri_hosts refuses a host or port beside a uri that says otherwise. */
static void
check_uri_hosts(const PnsMongoOptions *options, const mongoc_uri_t *uri)
{
	const mongoc_host_list_t *hosts = mongoc_uri_get_hosts(uri);

	if (options->host != NULL &&
		(hosts == NULL || hosts->next != NULL ||
		 pg_strcasecmp(hosts->host, pns_text_from_server(options->host)) != 0))
		throw_contradiction("host");
	if (options->port != 0 &&
		(hosts == NULL || hosts->next != NULL || hosts->port != options->port))
		throw_contradiction("port");
}

/* same_hosts tells whether two uris name the same hosts in the same order. */
static bool
same_hosts(const mongoc_uri_t *a, const mongoc_uri_t *b)
{
	const char *srv_a = mongoc_uri_get_srv_hostname(a);
	const char *srv_b = mongoc_uri_get_srv_hostname(b);
	const mongoc_host_list_t *host_a = mongoc_uri_get_hosts(a);
	const mongoc_host_list_t *host_b = mongoc_uri_get_hosts(b);

	if (srv_a != NULL || srv_b != NULL)
		return srv_a != NULL && srv_b != NULL && pg_strcasecmp(srv_a, srv_b) == 0;
	while (host_a != NULL && host_b != NULL)
	{
		if (pg_strcasecmp(host_a->host_and_port, host_b->host_and_port) != 0)
			return false;
		host_a = host_a->next;
		host_b = host_b->next;
	}
	return host_a == NULL && host_b == NULL;
}

/*
 * check_credentials refuses a user name or password beside a uri that has
 * another one.
 */
static void
check_credentials(const PnsMongoOptions *options, const mongoc_uri_t *uri)
{
	const char *username = mongoc_uri_get_username(uri);
	const char *password = mongoc_uri_get_password(uri);

	if (options->username != NULL && username != NULL &&
		strcmp(pns_text_from_server(options->username), username) != 0)
		throw_contradiction("username");
	if (options->password != NULL && password != NULL &&
		strcmp(pns_text_from_server(options->password), password) != 0)
		throw_contradiction("password");
}

/* throw_contradiction reports an option that a uri contradicts. */
static void
throw_contradiction(const char *option)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 strcmp(option, "uri") == 0 ?
			 errmsg("the option \"uri\" of the user mapping names other hosts than that of the server") :
			 errmsg("the options \"uri\" and \"%s\" contradict each other", option),
			 errhint("Say it in one place only.")));
}

/* uri_has_secret tells whether a uri has anything that must not be shown. */
static bool
uri_has_secret(const mongoc_uri_t *uri)
{
	bson_t		properties;

	return mongoc_uri_get_password(uri) != NULL ||
		mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD) ||
		mongoc_uri_get_mechanism_properties(uri, &properties);
}

/* overlay_credentials lays who logs in, and how, over a uri. */
static void
overlay_credentials(mongoc_uri_t *uri, const PnsMongoOptions *options)
{
	if (options->username != NULL)
		mongoc_uri_set_username(uri, pns_text_from_server(options->username));
	if (options->password != NULL)
		mongoc_uri_set_password(uri, pns_text_from_server(options->password));
	if (options->authentication_mechanism != NULL)
		mongoc_uri_set_auth_mechanism(uri, options->authentication_mechanism);
	if (options->authentication_database != NULL)
		mongoc_uri_set_auth_source(uri, pns_text_from_server(options->authentication_database));
	else if (options->authentication_mechanism != NULL &&
			 strcmp(options->authentication_mechanism, "MONGODB-X509") == 0)
		mongoc_uri_set_auth_source(uri, "$external");
}

/*
 * overlay_tls lays the TLS options over a uri.  Naming a certificate turns TLS
 * on, as it does within a uri, unless "tls" says that it be off.
 */
static void
overlay_tls(mongoc_uri_t *uri, const PnsMongoOptions *options)
{
	overlay_switch(uri, MONGOC_URI_TLS, options->tls);
	overlay_switch(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES,
				   options->tls_allow_invalid_certificates);
	overlay_switch(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES,
				   options->tls_allow_invalid_hostnames);
	overlay_text(uri, MONGOC_URI_TLSCAFILE, options->tls_ca_file);
	overlay_text(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE,
				 options->tls_certificate_key_file);
	overlay_text(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD,
				 options->tls_certificate_key_password);
	if (options->tls == PNS_SWITCH_DEFAULT &&
		(options->tls_crl_file != NULL || options->tls_ca_directory != NULL))
		overlay_switch(uri, MONGOC_URI_TLS, PNS_SWITCH_ON);
}

/*
 * overlay_limits sets what a backend cannot leave to a uri.  Trying for a
 * server more than once sleeps where no cancel is heard; a retried read would
 * connect anew after a cancel; and how long an operation may take is for
 * statement_timeout to say, so there is no limit but the uri's own.
 */
static void
overlay_limits(mongoc_uri_t *uri, const PnsMongoOptions *options)
{
	int			timeout = options->connect_timeout;

	if (timeout == 0)
		timeout = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS,
												 PNS_DEFAULT_CONNECT_TIMEOUT);
	if (timeout < 0)
		timeout = PNS_DEFAULT_CONNECT_TIMEOUT;
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, timeout);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, timeout);
	mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true);
	mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false);
	if (mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0) <= 0)
		mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, PG_INT32_MAX);
}

/* overlay_text sets a text of a uri where value is given. */
static void
overlay_text(mongoc_uri_t *uri, const char *name, const char *value)
{
	if (value != NULL)
		mongoc_uri_set_option_as_utf8(uri, name, pns_text_from_server(value));
}

/* overlay_switch sets a switch of a uri where value is given. */
static void
overlay_switch(mongoc_uri_t *uri, const char *name, PnsMongoSwitch value)
{
	if (value != PNS_SWITCH_DEFAULT)
		mongoc_uri_set_option_as_bool(uri, name, value == PNS_SWITCH_ON);
}

/* create_owner makes the handle of a uri in the current context. */
static PnsHandle *
create_owner(void)
{
	return pns_base_handle_create(CurrentMemoryContext, destroy_uri);
}

/* destroy_uri frees a uri for its handle, where that can be done. */
static void
destroy_uri(void *uri)
{
	if (!pns_mongo_allocator_replaced())
		mongoc_uri_destroy(uri);
}
