// Pictures in another size, every new pixel between four old ones. A part of kernels.cpp, which compiles it once per
// instruction set.

// The colours of a pixel, with room for four.
typedef float Colours __attribute__((vector_size(16)));

// Each number takes the four bytes, shifts its own one down and leaves out what is above it.
inline Colours colours_at(const uint8_t* bytes) {
    typedef int32_t Four __attribute__((vector_size(16)));
    typedef uint32_t Bits __attribute__((vector_size(16)));
    uint32_t all;
    std::memcpy(&all, bytes, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const Bits down = {24, 16, 8, 0};
#else
    const Bits down = {0, 8, 16, 24};
#endif
    Bits each = {all, all, all, all};
    return __builtin_convertvector((Four)((each >> down) & 255u), Colours);
}

// A row of pixels, `step` bytes apart, at the new columns: between places[c] and places[columns + c].
// `to` has room for three numbers more than there are.
inline void stretched(const uint8_t* row, Size step, Size channels, Size columns, const int64_t* places,
                      const float* part, float* to) {
    const int64_t* other = places + columns;
    if (step == 4 && channels >= 3) {
        for (Size c = 0; c < columns; c++, to += channels) {
            Colours a = colours_at(row + 4 * places[c]), b = colours_at(row + 4 * other[c]);
            a += (b - a) * part[c];
            std::memcpy(to, &a, sizeof(a));
        }
        return;
    }
    for (Size c = 0; c < columns; c++)
        for (Size n = 0; n < channels; n++) {
            float a = row[step * places[c] + n], b = row[step * other[c] + n];
            *to++ = a + (b - a) * part[c];
        }
}

// sizes: height, width and channels of the result; bytes from row to row and from pixel to pixel of the picture.
int resize(const Size* sizes, const uint8_t* picture, const int64_t* row_places, const float* row_part,
           const int64_t* column_places, const float* column_part, float* to) {
    Size height = sizes[0], columns = sizes[1], channels = sizes[2], by_row = sizes[3], step = sizes[4];
    Size line = columns * channels;
    static thread_local Scratch scratch;
    float* memory = scratch.floats(2 * (line + 4));
    if (!memory) return NO_MEMORY;
    float* rows[2] = {memory, memory + line + 4};
    int64_t held[2] = {-1, -1};  // which rows of the picture these are
    for (Size r = 0; r < height; r++, to += line) {
        int64_t upper = row_places[r], lower = row_places[height + r];
        if (held[1] == upper) {  // what was below is now above
            float* row = rows[0];
            rows[0] = rows[1];
            rows[1] = row;
            held[1] = held[0];
            held[0] = upper;
        }
        if (held[0] != upper) {
            stretched(picture + upper * by_row, step, channels, columns, column_places, column_part, rows[0]);
            held[0] = upper;
        }
        if (held[1] != lower) {
            stretched(picture + lower * by_row, step, channels, columns, column_places, column_part, rows[1]);
            held[1] = lower;
        }
        V part = everywhere(row_part[r]);
        for (Size n = 0; n < line; n += LANES) {
            V a = get(rows[0] + n, line - n), b = get(rows[1] + n, line - n);
            put(to + n, a + (b - a) * part, line - n);
        }
    }
    return 0;
}
