// Products of a few rows with a matrix of floats. Where the rows are bfloat16, the matrix is rounded to that on the way.
// A part of kernels.cpp, which compiles it once per instruction set.
//
// To predict a few samples a layer reads all of its weights once, and does little with each. Rounding them into
// memory first, as a general product must, reads and writes them once more.

// To bfloat16 and back, as `put` rounds.
inline V rounded(V v) {
    VU bits = (VU)v;
    VU near = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    return v == v ? (V)near : v;
}

// Weights as rows of this type see them, and a number of such a row.
inline V seen_by(const float*, V weights) { return weights; }
inline V seen_by(const Half*, V weights) { return rounded(weights); }
inline float number(const float* p) { return *p; }
inline float number(const Half* p) {
    uint32_t bits = uint32_t(p->bits) << 16;
    float one;
    std::memcpy(&one, &bits, 4);
    return one;
}

template <int ROWS_HERE, int WIDE, typename Number>
inline void few_rows_block(Size inner, Size columns, const Number* x, const float* kernel, const float* bias, int relu,
                           Number* out, Size left) {
    enum { AHEAD = 16 };  // rows that are fetched before their turn
    V sums[ROWS_HERE][WIDE];
    IN_REGISTERS for (int r = 0; r < ROWS_HERE; r++)
        IN_REGISTERS for (int v = 0; v < WIDE; v++) sums[r][v] = V{};
    for (Size k = 0; k < inner; k++, kernel += columns) {
        const float* later = kernel + smaller(AHEAD, inner - 1 - k) * columns;
        V weights[WIDE];
        for (int v = 0; v < WIDE; v++) {
            if (LANES == 16 || v % 2 == 0) __builtin_prefetch(later + v * LANES);
            weights[v] = seen_by(x, get(kernel + v * LANES, left_for<WIDE>(v, left)));
        }
        for (int r = 0; r < ROWS_HERE; r++) {
            V one = everywhere(number(x + r * inner + k));
            for (int v = 0; v < WIDE; v++) sums[r][v] += one * weights[v];
        }
    }
    IN_REGISTERS for (int r = 0; r < ROWS_HERE; r++)
        IN_REGISTERS for (int v = 0; v < WIDE; v++) {
            V sum = sums[r][v];
            if (bias) sum += seen_by(x, get(bias + v * LANES, left_for<WIDE>(v, left)));
            put(out + r * columns + v * LANES, relu ? (sum <= 0.0f ? V{} : sum) : sum, left_for<WIDE>(v, left));
        }
}

template <int WIDE, typename Number>
inline void few_rows_columns(Size rows, Size inner, Size columns, const Number* x, const float* kernel,
                             const float* bias, int relu, Number* out, Size left) {
    Size row = 0;
    for (; row + 2 <= rows; row += 2)
        few_rows_block<2, WIDE>(inner, columns, x + row * inner, kernel, bias, relu, out + row * columns, left);
    if (row < rows)
        few_rows_block<1, WIDE>(inner, columns, x + row * inner, kernel, bias, relu, out + row * columns, left);
}

// out (rows, columns) = x (rows, inner) times kernel (inner, columns), plus bias, and relu.
template <typename Number>
int few_rows(int threads, Size rows, Size inner, Size columns, int relu, const Number* x, const float* kernel,
             const float* bias, Number* out) {
    enum { MOST = LANES == 16 ? 8 : 4 };
    Size blocks = (columns + MOST * LANES - 1) / (MOST * LANES);
    split(threads, blocks, rows * inner * MOST, [=](Size first, Size last) {
        for (Size n = first * MOST * LANES; n < smaller(last * MOST * LANES, columns);) {
            Size left = columns - n;
            const float* start = bias ? bias + n : nullptr;
            // Whole vectors only, up to the last block: a block never reads beyond its columns.
            if (left > (MOST - 1) * LANES) {
                few_rows_columns<MOST>(rows, inner, columns, x, kernel + n, start, relu, out + n, left);
                n += MOST * LANES;
            } else if (left > LANES) {
                few_rows_columns<2>(rows, inner, columns, x, kernel + n, start, relu, out + n, left);
                n += 2 * LANES;
            } else {
                few_rows_columns<1>(rows, inner, columns, x, kernel + n, start, relu, out + n, left);
                n += LANES;
            }
        }
    });
    return 0;
}

// The same from sums (rows, columns) that something else has made.
inline int end_rows(int threads, Size rows, Size columns, int relu, const float* sums, const float* bias, Half* out) {
    split(threads, rows, columns, [=](Size first, Size last) {
        for (Size row = first; row < last; row++)
            for (Size n = 0; n < columns; n += LANES) {
                Size left = columns - n, at = row * columns + n;
                V sum = get(sums + at, left);
                if (bias) sum += rounded(get(bias + n, left));
                put(out + at, relu ? (sum <= 0.0f ? V{} : sum) : sum, left);
            }
    });
    return 0;
}
