# Makefile - bootstrap: runs makedefs once, then everything in Makefile.in
#   make            build            make run     serve from ./run in the foreground, no root, no Postfix
#   make check      run every test   make demo    a guided tour that ends by itself
# The packages named here are Debian's.

BUILD_PACKAGES = gcc make pkg-config libbsd-dev libpq-dev libc-ares-dev libssl-dev libpcre2-dev libidn2-dev libxxhash-dev
CHECK_PACKAGES = $(BUILD_PACKAGES) libcmocka-dev postfix postgresql mandoc procps swaks libnet-ssleay-perl openssl perl

TARGETS = all install demo bench check-unit check-docs check-layers check-clang check-integration check-fuzz

all: ; @$(MAKE) --no-print-directory go GO=all
$(filter-out all,$(TARGETS)): ; @$(MAKE) --no-print-directory go GO=$@
run: deps-run ; @$(MAKE) --no-print-directory go GO=run
check: deps-check ; @$(MAKE) --no-print-directory go GO=check

# without -j: as many at a time as there are processors
go: conf/makedefs.out
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc)) -f Makefile.in $(GO)

conf/makedefs.out: makedefs
	@sh makedefs >$@.tmp && mv $@.tmp $@ || { rm -f $@.tmp; exit 1; }

# deps - install what is missing when we are root on Debian, otherwise name it
deps: deps-check
deps-run: ; @$(MAKE) --no-print-directory need PACKAGES='$(BUILD_PACKAGES)'
deps-check: ; @$(MAKE) --no-print-directory need PACKAGES='$(CHECK_PACKAGES)'
need:
	@missing=; \
	command -v dpkg-query >/dev/null 2>&1 || { echo "make deps: not a Debian system; needed: $(PACKAGES)"; exit 0; }; \
	for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then \
		echo "make deps: installing$$missing"; \
		: tests make PostgreSQL clusters of their own, the package need not; \
		mkdir -p /etc/postgresql-common/createcluster.d; \
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/vouch.conf; \
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections 2>/dev/null; \
		{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $$missing; } \
		    >apt.out 2>&1 || { cat apt.out; rm -f apt.out; echo "make deps: apt-get failed, see above"; exit 1; }; \
		rm -f apt.out /etc/postgresql-common/createcluster.d/vouch.conf; \
	else \
		echo "make deps: these packages are missing; as root: apt-get install$$missing"; \
	fi

clean:
	rm -rf obj bin libexec conf/makedefs.out

.PHONY: $(TARGETS) run check go deps deps-run deps-check need clean
