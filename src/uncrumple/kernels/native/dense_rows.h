// A dense layer and what follows it, some rows at a time, so that these stay in a core's cache in between. A part of
// kernels.cpp, which compiles it once per instruction set.
//
// A library's product writes all of its result to memory; bias, relu and normalization then fetch it again, each waiting
// for all threads to finish the one before.

// Columns that are multiplied together, and rows that stay in the cache meanwhile.
enum { BAND = LANES == 16 ? 4 * LANES : 2 * LANES, BLOCK = 96, DEEP = 256 };

// Lays the columns of B (inner x columns) out band by band, so that a band is read from end to end. Element (k, n) of
// B is b[k * columns + n], or, if it is turned, b[n * inner + k].
inline void pack_bands(int threads, Size inner, Size columns, const float* b, bool turned, float* to) {
    Size count = (columns + BAND - 1) / BAND;
    split(threads, count, inner * BAND, [=](Size first, Size last) {
        for (Size band = first; band < last; band++) {
            Size begin = band * BAND, width = smaller(BAND, columns - begin);
            float* out = to + begin * inner;
            if (turned)
                turn(width, inner, inner, b + begin * inner, out, width);
            else
                for (Size k = 0; k < inner; k++)
                    std::memcpy(out + k * width, b + k * columns + begin, size_t(width) * sizeof(float));
        }
    });
}

// C (rows x columns) = A (rows x inner) times packed bands.
inline void band_product(Size rows, Size columns, Size inner, const float* a, const float* bands, float* c) {
    for (Size k = 0; k < inner; k += DEEP)
        for (Size n = 0; n < columns; n += BAND) {
            Size width = smaller(BAND, columns - n);
            product<false>(rows, width, smaller(DEEP, inner - k), a + k, inner, bands + n * inner + k * width, width,
                           c + n, columns, k > 0);
        }
}

// Memory of the calling thread for a packed matrix.
inline float* band_memory(Size count) {
    static thread_local Scratch scratch;
    return scratch.floats(count);
}

// y = x times weights (inner x columns), plus bias, perhaps with relu. With `kept`, what is computed so is added to the
// shortcut and to be found in `sum`, and y is its layer normalization; kept (rows x 2) gets mean and 1 / deviation.
// inner and columns are multiples of LANES.
int dense(int threads, Size rows, Size inner, Size columns, int relu, double epsilon, const float* x,
          const float* weights, const float* bias, const float* shortcut, const float* gamma, const float* beta,
          float* y, float* sum, float* kept) {
    float* bands = band_memory(inner * columns);
    if (!bands) return NO_MEMORY;
    pack_bands(threads, inner, columns, weights, false, bands);
    split(threads, rows, inner * columns, [=](Size first, Size last) {
        for (Size begin = first; begin < last; begin += BLOCK) {
            Size end = smaller(begin + BLOCK, last);
            float* products = kept ? sum : y;
            band_product(end - begin, columns, inner, x + begin * inner, bands, products + begin * columns);
            for (Size row = begin; row < end; row++) {
                float* line = products + row * columns;
                const float* other = kept ? shortcut + row * columns : nullptr;
                V all = {};
                for (Size n = 0; n < columns; n += LANES) {
                    V v = load(line + n);
                    if (bias) v += load(bias + n);
                    if (relu) v = v < 0.0f ? V{} : v;
                    if (other) v += load(other + n);
                    store(line + n, v);
                    all += v;
                }
                if (kept)
                    normalize_row(columns, float(epsilon), line, all, gamma, beta, y + row * columns, kept + 2 * row);
            }
        }
    });
    return 0;
}

// The way back. d (it may be dy) gets the gradient of the products: dy, where relu has left something (y above zero), or
// that of the normalized sum. dx, unless it is null, gets d times the weights turned, plus `plus`, if there is one.
// sums (threads x 3 x columns, zeros before): the first three rows get the gradients of bias, gamma and beta.
int dense_backward(int threads, Size rows, Size inner, Size columns, const float* y, const float* sum, const float* kept,
                   const float* gamma, const float* dy, const float* weights, const float* plus, float* d, float* dx,
                   float* sums) {
    float* bands = dx ? band_memory(inner * columns) : nullptr;
    if (dx) {
        if (!bands) return NO_MEMORY;
        pack_bands(threads, columns, inner, weights, true, bands);
    }
    split(threads, rows, inner * columns, [=](Size first, Size last) {
        float *d_bias = sums + this_thread() * 3 * columns, *d_gamma = d_bias + columns, *d_beta = d_gamma + columns;
        for (Size begin = first; begin < last; begin += BLOCK) {
            Size end = smaller(begin + BLOCK, last);
            for (Size row = begin; row < end; row++) {
                Size at = row * columns;
                if (kept) {
                    normalize_row_back<float>(columns, sum + at, nullptr, gamma, dy + at, kept + 2 * row, d + at, d_gamma,
                                              d_beta, d_bias);
                    continue;
                }
                for (Size n = 0; n < columns; n += LANES) {
                    V v = load(dy + at + n);
                    if (y) v = load(y + at + n) <= 0.0f ? V{} : v;
                    if (y || d != dy) store(d + at + n, v);
                    store(d_bias + n, load(d_bias + n) + v);
                }
            }
            if (!dx) continue;
            band_product(end - begin, inner, columns, d + begin * columns, bands, dx + begin * inner);
            if (plus)
                for (Size n = begin * inner; n < end * inner; n += LANES) store(dx + n, load(dx + n) + load(plus + n));
        }
    });
    for (int thread = 1; thread < threads; thread++)
        for (Size n = 0; n < 3 * columns; n += LANES)
            store(sums + n, load(sums + n) + load(sums + thread * 3 * columns + n));
    return 0;
}
