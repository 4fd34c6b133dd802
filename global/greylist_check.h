/* global/greylist_check.h - what a value of a greylist_* parameter must look like, for params.def
 * Each returns NULL, or what to write instead (params_check_fn). What several parameters together must fulfil:
 * greylist_conf.h.
 */
#ifndef GLOBAL_GREYLIST_CHECK_H
#define GLOBAL_GREYLIST_CHECK_H

const char *greylist_check_action(const char *value);
const char *greylist_check_client_key(const char *value);
const char *greylist_check_dnswl(const char *value);
const char *greylist_check_fallback(const char *value);
const char *greylist_check_header(const char *value);
const char *greylist_check_map(const char *value);
const char *greylist_check_mode(const char *value);
const char *greylist_check_null_sender(const char *value);
const char *greylist_check_privacy(const char *value);
const char *greylist_check_scope(const char *value);
const char *greylist_check_secret(const char *value);
const char *greylist_check_sender_key(const char *value);
const char *greylist_check_text(const char *value);

#endif
