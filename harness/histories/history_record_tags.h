/* The first bytes of records and of values: docs/history-format.md. Private to what writes and
 * reads them. */
#ifndef ORDEAL_HISTORY_RECORD_TAGS_H
#define ORDEAL_HISTORY_RECORD_TAGS_H

/* First byte of a record: an event below DEFINE_F. */
enum {
    EVENT_TYPE_MASK = 0x03,
    EVENT_HAS_ERROR = 0x04,
    EVENT_F_SHIFT = 3,
    EVENT_F_MORE = 15, /* the number follows as a varint */
    DEFINE_F = 0x80,
    DEFINE_PROCESS = 0x81,
    DEFINE_ERROR = 0x82,
    EXTRA = 0x83, /* of the event that follows */
};

/* First byte of a value. */
enum {
    V_NIL = 0x00,
    V_FALSE = 0x01,
    V_TRUE = 0x02,
    V_INT = 0x03,
    V_DOUBLE = 0x04,
    V_NUMBER = 0x05,
    V_STRING = 0x06,
    V_KEYWORD = 0x07,
    V_SYMBOL = 0x08,
    V_CHAR = 0x09,
    V_KEYWORD_NEW = 0x0a,
    V_KEYWORD_REF = 0x0b,
    V_VECTOR = 0x10,
    V_LIST = 0x11,
    V_SET = 0x12,
    V_MAP = 0x13,
    V_TAGGED = 0x14,
    V_VECTOR_SMALL = 0x20,  /* + number of items, up to 15 */
    V_KEYWORD_SMALL = 0x30, /* + number of the keyword, up to 15 */
    V_INT_SMALL = 0x40,     /* + integer - INT_SMALL_LOW, to the end of the byte */
    SMALL_MAX = 15,
    INT_SMALL_LOW = -16,
    INT_SMALL_HIGH = 0xff - V_INT_SMALL + INT_SMALL_LOW,
};

#endif
