/*-------------------------------------------------------------------------
 *
 * handle.c
 *	  Objects of foreign libraries that die with a memory context.
 *
 * A foreign library allocates with malloc and knows nothing of an error that
 * unwinds the stack.  So its object is hung on a memory context before it is
 * made: whatever then happens, resetting or deleting the context frees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base.h"

#include "utils/memutils.h"

static void release_callback(void *arg);

/*
 * pns_base_handle_create makes an empty handle that belongs to context.  The
 * caller then makes the object and stores it in handle->object at once, so
 * that there is no moment at which an error could lose it.
 */
PnsHandle *
pns_base_handle_create(MemoryContext context, PnsDestroy destroy)
{
	PnsHandle  *handle = MemoryContextAllocZero(context, sizeof(PnsHandle));

	handle->destroy = destroy;
	handle->callback.func = release_callback;
	handle->callback.arg = handle;
	MemoryContextRegisterResetCallback(context, &handle->callback);
	return handle;
}

/*
 * pns_base_handle_release destroys the object now.  It may be called twice:
 * PostgreSQL 15 cannot unregister a callback, so the context's own release
 * comes later and has to find nothing left.
 */
void
pns_base_handle_release(PnsHandle *handle)
{
	void	   *object = handle->object;

	if (object == NULL)
		return;
	handle->object = NULL;
	handle->destroy(object);
}

/* release_callback is pns_base_handle_release as a context calls it. */
static void
release_callback(void *arg)
{
	pns_base_handle_release(arg);
}
