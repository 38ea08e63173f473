# pynomaly_store: a PGXS extension.  PG_CONFIG chooses the server.
#
#   make, make install, make installcheck    as with any extension
#   make check, make demo                    everything by one command (README)

EXTENSION  = pynomaly_store
MODULE_big = $(EXTENSION)
PGFILEDESC = "pynomaly_store - storage layer of an anomaly-detection platform"

# The control file is the one home of the version.
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(EXTENSION).control)

OBJS = $(sort $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c)))

# Until a version is released, its script is the rooms' SQL in this order.
ROOM_SQL   = src/mongo/mongo.sql src/fdw/fdw.sql \
	$(addprefix src/store/,roles.sql tenancy.sql tables.sql partitions.sql configuration.sql \
	access.sql quotas.sql audit.sql queries.sql entities.sql audit_queries.sql \
	policies.sql) src/outbox/outbox.sql \
	src/documents/documents.sql src/documents/attach.sql \
	$(addprefix src/store/,self_test.sql finish.sql)
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql

# libmongoc 2.x has another name than 1.x.
CLIENT_LIBS = $(shell pkg-config --exists mongoc2 && echo mongoc2 || echo libmongoc-1.0)
# -isystem: their headers do not keep to PostgreSQL's warnings.
PG_CPPFLAGS = -Isrc -MMD -MP \
	$(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(CLIENT_LIBS)))
# PostgreSQL 15 leaves PGDLLEXPORT empty, see src/base/compat.h
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-fvisibility=hidden -DPGDLLEXPORT='__attribute__((visibility("default")))'
SHLIB_LINK  = $(shell pkg-config --libs $(CLIENT_LIBS))

# Library calls dominate: nothing to inline, so build no bitcode.
override with_llvm := no

# sql/<room>/<name>.sql -> expected/<room>/<name>.out.  The first need no
# server beside PostgreSQL; the others run where MONGO_URI names one.
REGRESS_LOCAL = documents/arguments documents/validators fdw/join fdw/options fdw/shipping fdw/terms mongo/objectid store/access store/audit \
	store/configuration store/entities store/queries store/quotas store/results store/self_test
REGRESS_MONGO = documents/read documents/write fdw/read fdw/import
REGRESS       = $(REGRESS_LOCAL) $(if $(MONGO_URI),$(REGRESS_MONGO))
REGRESS_PREP  = regress-dirs

EXTRA_CLEAN = $(OBJS:.o=.d) build test/results

# Goals of ours that PGXS must not see: it has a "check" of its own.
include test/check.mk
ifndef ONLY_CHECK_GOALS
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) does not run: install postgresql-server-dev, or set PG_CONFIG)
endif
include $(PGXS)
-include $(OBJS:.o=.d)
endif

sql/$(EXTENSION)--$(EXTVERSION).sql: $(ROOM_SQL)
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  cat $^; } > $@

.PHONY: regress-dirs
regress-dirs:
	@mkdir -p results $(addprefix results/,$(sort $(dir $(REGRESS))))
