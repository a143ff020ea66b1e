/*
 * MIT's library at both ends of contexts, for mit_test.go: a command a line on standard
 * input, an answer a line on standard output, which is "ok ..." or "error ...".
 *
 *   context SERVICE ETYPE MUTUAL  makes a new context with a service, by a ticket that is got with
 *                                 KRB5_CLIENT_KTNAME and taken with KRB5_KTNAME. With MUTUAL 1 the acceptor
 *                                 sends a subkey where the encryption type has such.
 *                                 ok ETYPE KEY ACCEPTOR-SUBKEY INITIATOR-SEQ ACCEPTOR-SEQ
 *   wrap END PRIVATE DATA         gss_wrap by END, initiator or acceptor: ok TOKEN
 *   rotate END PRIVATE DATA       gss_wrap_iov without a trailer, which rotates the token: ok TOKEN
 *   unwrap END TOKEN              gss_unwrap: ok PRIVATE DATA
 *   speed PRIVATE SIZE COUNT      the initiator wraps and the acceptor unwraps COUNT messages:
 *                                 ok WRAP-NS UNWRAP-NS, of CPU time
 *
 * Bytes are hexadecimal digits, "-" if there are none.
 *
 * cc -O2 -o mit mit.c $(krb5-config --cflags --libs gssapi)
 */
#define _GNU_SOURCE
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INITIATOR, ACCEPTOR };

static gss_ctx_id_t ends[2];

static void fail(const char *what, OM_uint32 major, OM_uint32 minor)
{
	OM_uint32 more = 0, ignored;
	gss_buffer_desc text;

	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5, &more, &text);
	printf("error %s: %#x, %.*s\n", what, major, (int)text.length, (char *)text.value);
	gss_release_buffer(&ignored, &text);
}

static void put_hex(const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	size_t i;

	putchar(' ');
	if (n == 0)
		putchar('-');
	for (i = 0; i < n; i++) {
		putchar_unlocked(digits[p[i] >> 4]);
		putchar_unlocked(digits[p[i] & 15]);
	}
}

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* The digits s become bytes in its own memory. */
static gss_buffer_desc get_hex(char *s)
{
	gss_buffer_desc b = { 0, s };

	for (; s[0] != '-' && s[0] != '\0' && s[1] != '\0'; s += 2)
		((unsigned char *)b.value)[b.length++] = digit(s[0]) << 4 | digit(s[1]);
	return b;
}

static gss_cred_id_t credentials(const char *service, krb5_enctype etype, gss_name_t *target)
{
	OM_uint32 major, minor;
	gss_cred_id_t cred;
	gss_buffer_desc name = { strlen(service), (void *)service };

	if ((major = gss_import_name(&minor, &name, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, target)) != GSS_S_COMPLETE ||
	    (major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_INITIATE, &cred,
				      NULL, NULL)) != GSS_S_COMPLETE ||
	    (major = gss_krb5_set_allowable_enctypes(&minor, cred, 1, &etype)) != GSS_S_COMPLETE) {
		fail("credentials", major, minor);
		return GSS_C_NO_CREDENTIAL;
	}
	return cred;
}

/* The two ends talk to each other until both are content. */
static int establish(gss_cred_id_t cred, gss_name_t target, int mutual)
{
	OM_uint32 flags = GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_REPLAY_FLAG;
	OM_uint32 major, minor, ignored;
	gss_buffer_desc there = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;

	if (mutual)
		flags |= GSS_C_MUTUAL_FLAG;
	for (;;) {
		major = gss_init_sec_context(&minor, cred, &ends[INITIATOR], target, (gss_OID)gss_mech_krb5, flags,
					     GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, &back, NULL, &there, NULL, NULL);
		if (GSS_ERROR(major)) {
			fail("gss_init_sec_context", major, minor);
			return 0;
		}
		gss_release_buffer(&ignored, &back);
		if (there.length == 0)
			return 1;
		major = gss_accept_sec_context(&minor, &ends[ACCEPTOR], GSS_C_NO_CREDENTIAL, &there,
					       GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &back, NULL, NULL, NULL);
		if (GSS_ERROR(major)) {
			fail("gss_accept_sec_context", major, minor);
			return 0;
		}
		gss_release_buffer(&ignored, &there);
		if (back.length == 0)
			return 1;
	}
}

/*
 * The context's key and numbers. gss_krb5_export_lucid_sec_context does the same and
 * then destroys the context.
 */
static gss_krb5_lucid_context_v1_t *lucid(gss_ctx_id_t context, gss_buffer_set_t *set)
{
	static gss_OID_desc oid = { 12, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x06\x01" };
	OM_uint32 major, minor;

	major = gss_inquire_sec_context_by_oid(&minor, context, &oid, set);
	if (major != GSS_S_COMPLETE) {
		fail("gss_inquire_sec_context_by_oid", major, minor);
		return NULL;
	}
	return *(void **)(*set)->elements[0].value;
}

static void do_context(const char *service, const char *etype, const char *mutual)
{
	OM_uint32 ignored;
	gss_cred_id_t cred;
	gss_name_t target;
	gss_buffer_set_t set;
	gss_krb5_lucid_context_v1_t *c;
	gss_krb5_lucid_key_t *key;

	gss_delete_sec_context(&ignored, &ends[INITIATOR], NULL);
	gss_delete_sec_context(&ignored, &ends[ACCEPTOR], NULL);
	cred = credentials(service, atoi(etype), &target);
	if (cred == GSS_C_NO_CREDENTIAL || !establish(cred, target, atoi(mutual)) ||
	    (c = lucid(ends[INITIATOR], &set)) == NULL)
		return;
	if (c->protocol == 0)
		key = &c->rfc1964_kd.ctx_key;
	else if (c->cfx_kd.have_acceptor_subkey)
		key = &c->cfx_kd.acceptor_subkey;
	else
		key = &c->cfx_kd.ctx_key;
	printf("ok %u", key->type);
	put_hex(key->data, key->length);
	printf(" %u %llu %llu\n", c->protocol == 1 && c->cfx_kd.have_acceptor_subkey, (unsigned long long)c->send_seq,
	       (unsigned long long)c->recv_seq);
	gss_krb5_free_lucid_sec_context(&ignored, c);
	gss_release_buffer_set(&ignored, &set);
	gss_release_name(&ignored, &target);
	gss_release_cred(&ignored, &cred);
}

static gss_ctx_id_t end(const char *name) { return ends[strcmp(name, "acceptor") == 0 ? ACCEPTOR : INITIATOR]; }

static void do_wrap(const char *name, const char *private, char *data)
{
	OM_uint32 major, minor;
	gss_buffer_desc in = get_hex(data), token;

	major = gss_wrap(&minor, end(name), atoi(private), GSS_C_QOP_DEFAULT, &in, NULL, &token);
	if (major != GSS_S_COMPLETE) {
		fail("gss_wrap", major, minor);
		return;
	}
	printf("ok");
	put_hex(token.value, token.length);
	putchar('\n');
	gss_release_buffer(&minor, &token);
}

static void do_rotate(const char *name, const char *private, char *data)
{
	OM_uint32 major, minor;
	gss_buffer_desc in = get_hex(data);
	gss_iov_buffer_desc iov[2] = {
		{ GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, GSS_C_EMPTY_BUFFER },
		{ GSS_IOV_BUFFER_TYPE_DATA, in },
	};
	unsigned char *token;

	major = gss_wrap_iov(&minor, end(name), atoi(private), GSS_C_QOP_DEFAULT, NULL, iov, 2);
	if (major != GSS_S_COMPLETE) {
		fail("gss_wrap_iov", major, minor);
		return;
	}
	token = malloc(iov[0].buffer.length + iov[1].buffer.length);
	memcpy(token, iov[0].buffer.value, iov[0].buffer.length);
	memcpy(token + iov[0].buffer.length, iov[1].buffer.value, iov[1].buffer.length);
	printf("ok");
	put_hex(token, iov[0].buffer.length + iov[1].buffer.length);
	putchar('\n');
	free(token);
	gss_release_iov_buffer(&minor, iov, 1);
}

static void do_unwrap(const char *name, char *hex)
{
	OM_uint32 major, minor;
	gss_buffer_desc token = get_hex(hex), data;
	int private;

	/* Supplementary bits are of tokens out of sequence. */
	major = gss_unwrap(&minor, end(name), &token, &data, &private, NULL);
	if (major != GSS_S_COMPLETE) {
		fail("gss_unwrap", major, minor);
		return;
	}
	printf("ok %d", private);
	put_hex(data.value, data.length);
	putchar('\n');
	gss_release_buffer(&minor, &data);
}

static long long cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void do_speed(const char *private, const char *size, const char *count)
{
	OM_uint32 major, minor;
	gss_buffer_desc in = { atoi(size), calloc(1, atoi(size)) }, token, data;
	long long start, wrap = 0, unwrap = 0;
	int i, n = atoi(count);

	for (i = 0; i < n; i++) {
		start = cpu();
		major = gss_wrap(&minor, ends[INITIATOR], atoi(private), GSS_C_QOP_DEFAULT, &in, NULL, &token);
		wrap += cpu() - start;
		if (GSS_ERROR(major)) {
			fail("gss_wrap", major, minor);
			return;
		}
		start = cpu();
		major = gss_unwrap(&minor, ends[ACCEPTOR], &token, &data, NULL, NULL);
		unwrap += cpu() - start;
		if (GSS_ERROR(major)) {
			fail("gss_unwrap", major, minor);
			return;
		}
		gss_release_buffer(&minor, &token);
		gss_release_buffer(&minor, &data);
	}
	printf("ok %lld %lld\n", wrap, unwrap);
	free(in.value);
}

static void run(char *line)
{
	char *word[4] = { "", "", "", "" }, *rest;
	int n;

	for (n = 0, rest = line; n < 4 && (word[n] = strtok_r(rest, " \n", &rest)) != NULL; n++)
		;
	if (n == 4 && strcmp(word[0], "context") == 0)
		do_context(word[1], word[2], word[3]);
	else if (n == 4 && strcmp(word[0], "wrap") == 0)
		do_wrap(word[1], word[2], word[3]);
	else if (n == 4 && strcmp(word[0], "rotate") == 0)
		do_rotate(word[1], word[2], word[3]);
	else if (n == 3 && strcmp(word[0], "unwrap") == 0)
		do_unwrap(word[1], word[2]);
	else if (n == 4 && strcmp(word[0], "speed") == 0)
		do_speed(word[1], word[2], word[3]);
	else
		printf("error no command\n");
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		run(line);
		fflush(stdout);
	}
	return 0;
}
