/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  Applying the outbox by itself: background workers and their settings.
 *
 * With the library in shared_preload_libraries there is a launcher, which keeps
 * a worker running for each database of pynomaly_store.outbox_databases.  A
 * worker ends with an error of ours; the launcher starts another one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

/* How often the launcher looks after its workers, and starts them again. */
#define LAUNCHER_PAUSE 5000		/* milliseconds */

/* How long a worker waits after failures at most. */
#define LONGEST_PAUSE 60000		/* milliseconds */

/* A database's worker, as the launcher knows it. */
typedef struct Worker
{
	char		database[NAMEDATALEN];
	BackgroundWorkerHandle *handle; /* NULL: could not be started */
} Worker;

int			pns_outbox_command_timeout = 10000;

static char *outbox_databases = NULL;
static int	outbox_interval = 500;

PGDLLEXPORT void pns_outbox_launcher_main(Datum arg);
PGDLLEXPORT void pns_outbox_worker_main(Datum arg);

static bool check_databases(char **value, void **extra, GucSource source);
static void register_launcher(void);
static void set_up_process(void);
static List *look_after(List *workers);
static bool is_listed(List *names, const char *database);
static Worker *find_worker(List *workers, const char *database);
static BackgroundWorkerHandle *start_worker(const char *database);
static bool is_installed(void);
static void pause_for(long milliseconds);

/*
 * pns_outbox_init defines the settings, in alphabetical order, and registers the
 * launcher where the library is preloaded.
 */
void
pns_outbox_init(void)
{
	DefineCustomIntVariable("pynomaly_store.outbox_command_timeout",
							"Time that MongoDB may take for a command of the outbox.",
							"As long it takes after the end of an applier until "
							"what it was sending is sent again.",
							&pns_outbox_command_timeout,
							10000, 100, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomStringVariable("pynomaly_store.outbox_databases",
							   "Databases whose outbox is applied by background workers.",
							   "A list of names separated by commas. Needs the "
							   "library in shared_preload_libraries.",
							   &outbox_databases,
							   "",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   check_databases, NULL, NULL);
	DefineCustomIntVariable("pynomaly_store.outbox_interval",
							"How often a background worker looks into the outbox.",
							NULL,
							&outbox_interval,
							500, 10, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		register_launcher();
}

/*
 * pns_outbox_launcher_main is the launcher: it starts a worker for each database
 * of the setting, and ends those of databases that are no longer in it.
 */
void
pns_outbox_launcher_main(Datum arg)
{
	List	   *workers = NIL;

	set_up_process();
	for (;;)
	{
		workers = look_after(workers);
		pause_for(LAUNCHER_PAUSE);
	}
}

/*
 * pns_outbox_worker_main applies the outbox of a database, whose name is in
 * bgw_extra.  Where a server fails it tries again later and later.
 */
void
pns_outbox_worker_main(Datum arg)
{
	long		pause = outbox_interval;
	MemoryContext context;

	set_up_process();
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, NULL, 0);
	(void) set_config_option("default_transaction_isolation", "read committed",
							 PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, 0, false);
	(void) set_config_option("default_transaction_read_only", "off",
							 PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, 0, false);
	context = AllocSetContextCreate(TopMemoryContext, "outbox worker", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		PnsOutboxFailure failure;
		char	   *server;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		if (!is_installed() || pns_outbox_apply_all(&failure, &server))
			pause = outbox_interval;
		else
		{
			pause = Min(Max(pause, outbox_interval) * 2, LONGEST_PAUSE);
			ereport(LOG,
					(errcode(failure.sqlstate),
					 errmsg("could not apply the outbox to server \"%s\": %s", server,
							failure.message),
					 errdetail("The next attempt is in %ld ms.", pause)));
		}
		pgstat_report_stat(false);
		pgstat_report_activity(STATE_IDLE, NULL);
		pause_for(pause);
	}
}

/* check_databases is the check hook of the list of databases. */
static bool
check_databases(char **value, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*value);
	List	   *names;

	if (!SplitIdentifierString(copy, ',', &names))
	{
		GUC_check_errdetail("The list is not a list of names separated by commas.");
		return false;
	}
	list_free(names);
	return true;
}

/* register_launcher has the server start the launcher, once it takes writes. */
static void
register_launcher(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_PAUSE / 1000;
	strlcpy(worker.bgw_library_name, "pynomaly_store", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pns_outbox_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pynomaly_store outbox launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "pynomaly_store outbox launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* set_up_process lets signals through: those of its end, and of new settings. */
static void
set_up_process(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
}

/*
 * look_after compares the workers with the setting: it starts those that are
 * missing, and ends those that nobody wants.
 */
static List *
look_after(List *workers)
{
	char	   *copy = pstrdup(outbox_databases);
	List	   *names = NIL;
	ListCell   *cell;
	pid_t		pid;

	(void) SplitIdentifierString(copy, ',', &names);
	foreach(cell, workers)
	{
		Worker	   *worker = lfirst(cell);

		if (is_listed(names, worker->database))
			continue;
		if (worker->handle != NULL)
			TerminateBackgroundWorker(worker->handle);
		workers = foreach_delete_current(workers, cell);
	}
	foreach(cell, names)
	{
		Worker	   *worker = find_worker(workers, lfirst(cell));

		if (worker == NULL)
		{
			worker = palloc0(sizeof(Worker));
			strlcpy(worker->database, lfirst(cell), sizeof(worker->database));
			workers = lappend(workers, worker);
		}
		if (worker->handle == NULL ||
			GetBackgroundWorkerPid(worker->handle, &pid) == BGWH_STOPPED)
			worker->handle = start_worker(worker->database);
	}
	list_free(names);
	pfree(copy);
	return workers;
}

/* is_listed tells whether a database is in a list of names. */
static bool
is_listed(List *names, const char *database)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), database) == 0)
			return true;
	}
	return false;
}

/* find_worker gives the worker of a database, or NULL. */
static Worker *
find_worker(List *workers, const char *database)
{
	ListCell   *cell;

	foreach(cell, workers)
	{
		Worker	   *worker = lfirst(cell);

		if (strcmp(worker->database, database) == 0)
			return worker;
	}
	return NULL;
}

/* start_worker starts the worker of a database; NULL where no slot is free. */
static BackgroundWorkerHandle *
start_worker(const char *database)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "pynomaly_store", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pns_outbox_worker_main",
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "pynomaly_store outbox of %s", database);
	strlcpy(worker.bgw_type, "pynomaly_store outbox", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_extra, database, sizeof(worker.bgw_extra));
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		return handle;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not start the worker for the outbox of database \"%s\"", database),
			 errhint("Raise max_worker_processes.")));
	return NULL;
}

/* is_installed tells whether the database has the extension. */
static bool
is_installed(void)
{
	bool		found;

	StartTransactionCommand();
	found = OidIsValid(get_extension_oid("pynomaly_store", true));
	CommitTransactionCommand();
	return found;
}

/*
 * pause_for waits, and reads new settings.  The end of the postmaster, and an
 * order to end, end the process.
 */
static void
pause_for(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}
