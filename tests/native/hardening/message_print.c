/* Printing of SIP messages into buffers of every size; each buffer is a malloc block of its own, so that ASan sees one byte too many. */
#include "common.h"

static pjsip_msg *message(const char *body_text, unsigned body_length)
{
    pj_str_t text = pj_str((char*)"text"), plain = pj_str((char*)"plain"), body;
    pjsip_method method;
    pjsip_msg *msg = pjsip_msg_create(pool, PJSIP_REQUEST_MSG);
    pj_str_t name = pj_str((char*)"MESSAGE");
    pjsip_sip_uri *uri = pjsip_sip_uri_create(pool, 0);

    uri->host = pj_str((char*)"example.com");
    pjsip_method_init(&method, pool, &name);
    msg->line.req.method = method;
    msg->line.req.uri = (pjsip_uri*)uri;
    if (body_text) {
        pj_strset(&body, (char*)body_text, body_length);
        msg->body = pjsip_msg_body_create(pool, &text, &plain, &body);
    }
    return msg;
}

static void array_headers(void)
{
    const char *names[] = {"Allow", "Supported", "Require", "Accept"};
    unsigned n;

    for (n = 0; n < PJ_ARRAY_SIZE(names); ++n) {
        pj_str_t name = pj_str((char*)names[n]);
        pjsip_generic_array_hdr *hdr = pjsip_generic_array_hdr_create(pool, &name);
        char expected[100];
        int full, size;

        hdr->values[hdr->count++] = pj_str((char*)"one");
        hdr->values[hdr->count++] = pj_str((char*)"two");
        full = snprintf(expected, sizeof(expected), "%s: one, two", names[n]);
        for (size = 1; size <= full + 2; ++size) {
            char *buf = malloc(size);
            int len = pjsip_hdr_print_on(hdr, buf, size);
            CHECK(len == -1 || (len == full && len <= size && memcmp(buf, expected, len) == 0));
            CHECK(size <= full || len == full);
            free(buf);
        }
    }
}

/* A received multipart body that has nothing but the closing delimiter, or a part without a body. */
static void multipart(void)
{
    pj_str_t type = pj_str((char*)"multipart"), subtype = pj_str((char*)"related"), boundary = pj_str((char*)"b");
    pj_str_t raw, got_boundary;
    char text[] = "--b--\r\n";
    pjsip_media_type media;
    pjsip_param *param = PJ_POOL_ZALLOC_T(pool, pjsip_param);
    pjsip_msg_body *body;
    pjsip_msg *msg = message(NULL, 0);
    int size;

    pjsip_media_type_init(&media, &type, &subtype);
    param->name = pj_str((char*)"boundary");
    param->value = boundary;
    pj_list_push_back(&media.param, param);
    body = pjsip_multipart_parse(pool, text, strlen(text), &media, 0);
    CHECK(body != NULL);
    CHECK_STATUS(pjsip_multipart_get_raw(body, &got_boundary, &raw), PJ_SUCCESS);
    CHECK(raw.slen == (pj_ssize_t)strlen(text));
    for (size = 1; size < 64; ++size) {
        char *buf = malloc(size);
        CHECK(body->print_body(body, buf, size) == -1);
        free(buf);
    }
    msg->body = body;
    for (size = 256; size < 300; ++size) {
        char *buf = malloc(size);
        CHECK(pjsip_msg_print(msg, buf, size) < 0);
        free(buf);
    }
    msg->body = pjsip_msg_body_clone(pool, body);
    {
        char *buf = malloc(4000);
        CHECK(pjsip_msg_print(msg, buf, 4000) < 0);
        free(buf);
    }
    /* Parts with headers: every size gives -1 or the exact text. */
    {
        pj_str_t t = pj_str((char*)"text"), p = pj_str((char*)"plain"), b = pj_str((char*)"hello"), hname = pj_str((char*)"X-A"), hval = pj_str((char*)"v");
        pjsip_multipart_part *part = pjsip_multipart_create_part(pool);
        char *whole = malloc(1000);
        int full;

        part->body = pjsip_msg_body_create(pool, &t, &p, &b);
        pj_list_push_back(&part->hdr, pjsip_generic_string_hdr_create(pool, &hname, &hval));
        body = pjsip_multipart_create(pool, &media, &boundary);
        CHECK_STATUS(pjsip_multipart_add_part(pool, body, part), PJ_SUCCESS);
        full = body->print_body(body, whole, 1000);
        CHECK(full > 0);
        for (size = 1; size <= full + 40; ++size) {
            char *buf = malloc(size);
            int len = body->print_body(body, buf, size);
            CHECK(len == -1 || (len == full && memcmp(buf, whole, full) == 0));
            free(buf);
        }
    }
}

static int wrong_print(struct pjsip_msg_body *body, char *buf, pj_size_t size)
{
    (void)body; (void)buf;
    return (int)size + 100;
}

static void body_printer_too_long(void)
{
    pjsip_msg *msg = message("x", 1);
    char *buf = malloc(4000);

    msg->body->print_body = &wrong_print;
    CHECK(pjsip_msg_print(msg, buf, 4000) < 0);
    free(buf);
}

static void final_nul(void)
{
    static char text[600];
    pjsip_msg *msg;
    char whole[2000];
    int full, size;

    memset(text, 'a', sizeof(text));
    msg = message(text, sizeof(text));
    full = (int)pjsip_msg_print(msg, whole, sizeof(whole));
    CHECK(full > 600);
    for (size = 256; size <= full + 3; ++size) {
        char *buf = malloc(size);
        int len = (int)pjsip_msg_print(msg, buf, size);
        CHECK(len == -1 || (len == full && buf[len] == 0 && memcmp(buf, whole, len) == 0));
        CHECK(size <= full || len == full);
        free(buf);
    }
}

static void first_line(void)
{
    static char text[5001];
    pjsip_msg *msg = pjsip_msg_create(pool, PJSIP_RESPONSE_MSG);
    int size;

    memset(text, 'R', 5000);
    msg->line.status.code = 200;
    msg->line.status.reason = pj_str(text);
    for (size = 4000; size < 5030; ++size) {
        char *buf = malloc(size);
        int len = (int)pjsip_msg_print(msg, buf, size);
        CHECK(len == -1 || len < size);
        free(buf);
    }
    msg = message(NULL, 0);
    msg->line.req.method.name = pj_str(text);
    for (size = 4000; size < 5010; ++size) {
        char *buf = malloc(size);
        CHECK(pjsip_msg_print(msg, buf, size) == -1);
        free(buf);
    }
}

/* "hide" is nobody's but the peer's parameter: with lr or without, the header is printed. */
static void route_hide(void)
{
    const char *uris[] = {"<sip:x;hide>", "<sip:x;lr;hide>", "<sips:x;hide;lr>"};
    unsigned i;

    for (i = 0; i < PJ_ARRAY_SIZE(uris); ++i) {
        pj_str_t name = pj_str((char*)"Record-Route");
        char *text = strdup(uris[i]), buf[200];
        pjsip_routing_hdr *hdr = pjsip_parse_hdr(pool, &name, text, strlen(text), NULL);
        int len;

        CHECK(hdr != NULL);
        len = pjsip_hdr_print_on(hdr, buf, sizeof(buf));
        CHECK(len > 0);
        buf[len] = 0;
        CHECK(strstr(buf, "Record-Route: <sip") == buf && strstr(buf, "hide"));
        hdr = pjsip_hdr_clone(pool, hdr);
        pjsip_routing_hdr_set_route(hdr);
        len = pjsip_hdr_print_on(hdr, buf, sizeof(buf));
        CHECK(len > 0 && strncmp(buf, "Route: <sip", 11) == 0);
    }
}

static void content_length(void)
{
    static char text[200001], buf[300000];
    const unsigned sizes[] = {9, 99999, 100000, 200000};
    unsigned i;

    memset(text, 'a', sizeof(text));
    for (i = 0; i < PJ_ARRAY_SIZE(sizes); ++i) {
        pjsip_msg *msg = message(text, sizes[i]);
        int len = (int)pjsip_msg_print(msg, buf, sizeof(buf)), part;
        char *found;

        if (len >= 0) {
            found = strstr(buf, "Content-Length:");
            CHECK(found && strtoul(found + 15, NULL, 10) == sizes[i]);
        }
        CHECK(len >= 0 || sizes[i] >= PJSIP_MAX_PKT_LEN);
        {
            pjsip_multipart_part *p = pjsip_multipart_create_part(pool);
            pjsip_msg_body *body = pjsip_multipart_create(pool, NULL, NULL);

            p->body = msg->body;
            CHECK_STATUS(pjsip_multipart_add_part(pool, body, p), PJ_SUCCESS);
            part = body->print_body(body, buf, sizeof(buf) - 1);
            if (part >= 0) {
                buf[part] = 0;
                found = strstr(buf, "Content-Length:");
                CHECK(found && strtoul(found + 15, NULL, 10) == sizes[i]);
            }
            CHECK(part >= 0 || sizes[i] >= PJSIP_MAX_PKT_LEN);
        }
    }
}

/* A media type as header, as type of a body and of a part: every size gives -1 or the exact text. */
static void media_type(void)
{
    static char value[300];
    pj_str_t type = pj_str((char*)"text"), subtype = pj_str((char*)"plain"), text = pj_str((char*)"hello");
    pjsip_param *param = PJ_POOL_ZALLOC_T(pool, pjsip_param);
    pjsip_ctype_hdr *hdr = pjsip_ctype_hdr_create(pool);
    pjsip_multipart_part *part = pjsip_multipart_create_part(pool);
    pjsip_msg_body *body;
    pjsip_msg *msg = message("hello", 5);
    char whole[3000];
    int full, size;

    memset(value, 'v', sizeof(value) - 1);
    param->name = pj_str((char*)"name");
    param->value = pj_str(value);
    pjsip_media_type_init(&hdr->media, &type, &subtype);
    for (size = 1; size < 20; ++size) {
        char *buf = malloc(size);
        int len = pjsip_media_type_print(buf, size, &hdr->media);
        CHECK(len == -1 || (len == 10 && len <= size && memcmp(buf, "text/plain", 10) == 0));
        CHECK(size < 10 || len == 10);
        free(buf);
    }
    pj_list_push_back(&hdr->media.param, param);
    full = pjsip_hdr_print_on(hdr, whole, sizeof(whole));
    CHECK(full > 300);
    for (size = 1; size <= full + 20; ++size) {
        char *buf = malloc(size);
        int len = pjsip_hdr_print_on(hdr, buf, size);
        CHECK(len == -1 || (len == full && len < size && memcmp(buf, whole, full) == 0));
        CHECK(size <= full || len == full);
        free(buf);
    }
    pjsip_media_type_cp(pool, &msg->body->content_type, &hdr->media);
    full = (int)pjsip_msg_print(msg, whole, sizeof(whole));
    CHECK(full > 350);
    for (size = 256; size <= full + 20; ++size) {
        char *buf = malloc(size);
        int len = (int)pjsip_msg_print(msg, buf, size);
        CHECK(len == -1 || (len == full && memcmp(buf, whole, full) == 0));
        CHECK(size <= full || len == full);
        free(buf);
    }
    part->body = pjsip_msg_body_create(pool, &type, &subtype, &text);
    pjsip_media_type_cp(pool, &part->body->content_type, &hdr->media);
    body = pjsip_multipart_create(pool, NULL, NULL);
    CHECK_STATUS(pjsip_multipart_add_part(pool, body, part), PJ_SUCCESS);
    full = body->print_body(body, whole, sizeof(whole));
    CHECK(full > 350);
    for (size = 1; size <= full + 60; ++size) {
        char *buf = malloc(size);
        int len = body->print_body(body, buf, size);
        CHECK(len == -1 || (len == full && memcmp(buf, whole, full) == 0));
        free(buf);
    }
}

int main(int argc, char **argv)
{
    pjsip_endpoint *endpt;

    begin();
    CHECK_STATUS(pjsip_endpt_create(&caching_pool.factory, "test", &endpt), PJ_SUCCESS);
    CHECK(argc == 2);
    if (!strcmp(argv[1], "array_headers")) array_headers();
    else if (!strcmp(argv[1], "multipart")) multipart();
    else if (!strcmp(argv[1], "body_printer_too_long")) body_printer_too_long();
    else if (!strcmp(argv[1], "final_nul")) final_nul();
    else if (!strcmp(argv[1], "first_line")) first_line();
    else if (!strcmp(argv[1], "route_hide")) route_hide();
    else if (!strcmp(argv[1], "content_length")) content_length();
    else if (!strcmp(argv[1], "media_type")) media_type();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
