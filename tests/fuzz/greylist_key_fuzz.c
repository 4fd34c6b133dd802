/* tests/fuzz/greylist_key_fuzz.c - keys of addresses and names: never longer than what came but for a little, the same for the same,
 * and a sender key is a key of itself in another case
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/greylist_key.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct greylist_key_conf base = { .ipv4_bits = 24, .ipv6_bits = 64, .sender_delimiter = "+", .recipient_delimiter = "+" };
	static struct greylist_hash *hash;
	static const unsigned char secret[GREYLIST_SECRET_LEN] = { 1 };
	struct greylist_key_conf conf = base;
	struct buf sender = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20), other = BUF_INIT(1 << 20);
	struct client_addr a;
	char	id[GREYLIST_ID_LEN + 1], *text, *part[3];

	if (n < 2)
		return 0;
	if (hash == NULL)
		hash = greylist_hash_new(secret);
	conf.sender = (enum greylist_sender_by) (data[0] % 3);
	conf.client = (enum greylist_client_by) (data[1] % 3);
	text = malloc(n - 1);
	memcpy(text, data + 2, n - 2);
	text[n - 2] = 0;
	part[0] = text;
	for (int i = 1; i < 3; i++) {			/* sender, recipient, client name: parted by newlines */
		part[i] = part[i - 1] + strcspn(part[i - 1], "\n");
		if (*part[i] != 0)
			*part[i]++ = 0;
	}
	greylist_sender(&conf, part[0], part[1], &sender);
	assert(sender.len <= strlen(part[0]) + 8);
	for (char *p = part[0]; *p != 0; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char) (*p - 32);
	greylist_sender(&conf, part[0], part[1], &again);
	assert(strcmp(buf_str(&sender), buf_str(&again)) == 0);
	assert(strlen(greylist_sender_domain(&conf, buf_str(&sender))) <= sender.len);
	greylist_recipient(&conf, part[1], &other);
	assert(other.len <= strlen(part[1]));
	buf_reset(&other);
	if (!client_addr_parse(&a, part[2]))
		client_addr_parse(&a, n % 2 ? "192.0.2.25" : "2001:db8::1:25");
	greylist_net(&conf, &a, &other);
	buf_reset(&again);
	greylist_client(&conf, &a, part[2], buf_str(&other), &again);
	buf_reset(&other);
	buf_adds(&other, buf_str(&again));
	assert(other.len > 0);
	greylist_id(hash, 'T', buf_str(&other), buf_str(&sender), part[1], id);
	assert(strlen(id) == GREYLIST_ID_LEN);
	buf_fini(&sender);
	buf_fini(&again);
	buf_fini(&other);
	free(text);
	return 0;
}
