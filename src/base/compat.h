/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions that we build with.
 *
 * Small and newest first; a fence goes when its version does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_BASE_COMPAT_H
#define PNS_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pynomaly_store needs PostgreSQL 15 or later"
#endif

/*
 * PostgreSQL 15 defines PGDLLEXPORT as nothing, so that -fvisibility=hidden
 * would hide the SQL functions too; the Makefile defines it on the command
 * line.
 */

/*
 * Since PostgreSQL 17 a wait event set belongs to a resource owner, before to
 * a memory context.  Ours live for one call, so they need none and the current
 * one.
 */
#if PG_VERSION_NUM >= 170000
#define PnsCreateWaitEventSet(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define PnsCreateWaitEventSet(nevents) \
	CreateWaitEventSet(CurrentMemoryContext, (nevents))
#endif

#endif							/* PNS_BASE_COMPAT_H */
