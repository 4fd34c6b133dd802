/* daemons/smtpd/queue_send.h - what queue/smtp and queue/lmtp do: the hooks are theirs, protocol and defaults differ
 */
#ifndef SMTPD_QUEUE_SEND_H
#define SMTPD_QUEUE_SEND_H

#include "builtin.h"
#include "queue_args.h"

/* queue_send_init - the plugin's init
 * words     see queue_args_parse
 * a	     defaults */
int	queue_send_init(struct vh_inst *, int argc, char **argv, struct vh_err *, bool lmtp, unsigned words, const struct queue_args *a);
int	queue_send_worker_init(struct vh_inst *, struct vh_err *);
void	queue_send_fini(struct vh_inst *);
extern const struct vh_hook_fn queue_send_hooks[];

/* queue_answer - what the next hop has said, as the result of a hook */
struct hop_answer;
enum vh_rc queue_answer(struct vh_call *, const struct hop_answer *);

#endif
