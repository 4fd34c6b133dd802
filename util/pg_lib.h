/* util/pg_lib.h - the part of libpq that we use, as a struct of functions
 * Loaded when a database is configured, not linked: libpq and what it brings cost each process 5 MB of memory, which
 * a worker without a database need not pay. Tests put a scripted server in its place.
 */
#ifndef UTIL_PG_LIB_H
#define UTIL_PG_LIB_H

#include <libpq-fe.h>

#define PG_LIB_NAME	"libpq.so.5"

/* F(type, name, arguments): the member is name, the function in the library PQname */
#define PG_LIB_FUNCTIONS(F) \
	F(PGconn *, connectStartParams, (const char *const *keys, const char *const *values, int expand_dbname)) \
	F(PostgresPollingStatusType, connectPoll, (PGconn *)) \
	F(ConnStatusType, status, (const PGconn *)) \
	F(int, socket, (const PGconn *)) \
	F(char *, errorMessage, (const PGconn *)) \
	F(const char *, parameterStatus, (const PGconn *, const char *name)) \
	F(int, setnonblocking, (PGconn *, int on)) \
	F(PQnoticeReceiver, setNoticeReceiver, (PGconn *, PQnoticeReceiver, void *)) \
	F(int, enterPipelineMode, (PGconn *)) \
	F(int, sendQueryParams, (PGconn *, const char *sql, int n, const Oid *types, const char *const *values, \
	    const int *lengths, const int *formats, int result_format)) \
	F(int, sendPrepare, (PGconn *, const char *name, const char *sql, int n, const Oid *types)) \
	F(int, sendQueryPrepared, (PGconn *, const char *name, int n, const char *const *values, const int *lengths, \
	    const int *formats, int result_format)) \
	F(int, pipelineSync, (PGconn *)) \
	F(int, flush, (PGconn *)) \
	F(int, consumeInput, (PGconn *)) \
	F(int, isBusy, (PGconn *)) \
	F(PGresult *, getResult, (PGconn *)) \
	F(void, finish, (PGconn *)) \
	F(ExecStatusType, resultStatus, (const PGresult *)) \
	F(char *, resultErrorField, (const PGresult *, int field)) \
	F(int, ntuples, (const PGresult *)) \
	F(int, nfields, (const PGresult *)) \
	F(char *, getvalue, (const PGresult *, int row, int column)) \
	F(int, getlength, (const PGresult *, int row, int column)) \
	F(int, getisnull, (const PGresult *, int row, int column)) \
	F(void, clear, (PGresult *)) \
	F(PQconninfoOption *, conninfoParse, (const char *, char **why)) \
	F(void, conninfoFree, (PQconninfoOption *)) \
	F(void, freemem, (void *)) \
	F(int, libVersion, (void))

struct pg_lib {
#define F(type, name, args) type (*name) args;
	PG_LIB_FUNCTIONS(F)
#undef F
};

/* pg_lib_load - the real library; loaded once, kept for good
 * why_r     on failure: what is missing; static or kept
 * returns   NULL when it cannot be had */
const struct pg_lib *pg_lib_load(const char **why_r);

#endif
