// avx512::few_rows for processors that round to bfloat16 with one instruction. A part of kernels.cpp.
//
// Rounding packs two vectors of 16 columns into one. The numbers of odd places are floats as they lie, once the even
// ones are masked off, and those are floats once they are shifted: so sums are kept for even and odd places, and put
// in order at the end.

template <int WIDE>
inline void few_rows_block(Size inner, Size columns, const Half* x, const float* kernel, const float* bias, int relu,
                           Half* out) {
    enum { AHEAD = 16 };  // rows that are fetched before their turn
    const __m512i upper = _mm512_set1_epi32(int32_t(0xffff0000u));
    __m512 even[WIDE], odd[WIDE];
    for (int v = 0; v < WIDE; v++) even[v] = odd[v] = _mm512_setzero_ps();
    for (Size k = 0; k < inner; k++, kernel += columns) {
        const float* later = kernel + smaller(AHEAD, inner - 1 - k) * columns;
        __m512 one = _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(uint32_t(x[k].bits) << 16)));
        for (int v = 0; v < WIDE; v++) {
            __builtin_prefetch(later + v * DEEP);
            __builtin_prefetch(later + v * DEEP + SIDE);
            __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(kernel + v * DEEP + SIDE),
                                                         _mm512_loadu_ps(kernel + v * DEEP));
            even[v] = _mm512_fmadd_ps(one, (__m512)_mm512_slli_epi32(pairs, 16), even[v]);
            odd[v] = _mm512_fmadd_ps(one, (__m512)_mm512_and_si512(pairs, upper), odd[v]);
        }
    }
    alignas(64) static const uint32_t in_order[2][SIDE] = {{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23},
                                                           {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}};
    for (int v = 0; v < WIDE; v++)
        for (int half = 0; half < 2; half++) {
            __m512i order = _mm512_load_si512(in_order[half]);
            V sum = (V)_mm512_permutex2var_ps(even[v], order, odd[v]);
            Size at = v * DEEP + half * SIDE;
            if (bias) sum += avx512::rounded(load(bias + at));
            put(out + at, relu ? (sum <= 0.0f ? V{} : sum) : sum, SIDE);
        }
}

// Columns are a multiple of 32.
int few_rows(int threads, Size rows, Size inner, Size columns, int relu, const Half* x, const float* kernel,
             const float* bias, Half* out) {
    enum { MOST = 4 };
    avx512::split(threads, (columns / DEEP + MOST - 1) / MOST, rows * inner * MOST * 2, [=](Size first, Size last) {
        for (Size n = first * MOST * DEEP; n < smaller(last * MOST * DEEP, columns);) {
            bool many = columns - n >= MOST * DEEP;
            for (Size row = 0; row < rows; row++) {
                const float* start = bias ? bias + n : nullptr;
                Half* to = out + row * columns + n;
                if (many)
                    few_rows_block<MOST>(inner, columns, x + row * inner, kernel + n, start, relu, to);
                else
                    few_rows_block<1>(inner, columns, x + row * inner, kernel + n, start, relu, to);
            }
            n += many ? MOST * DEEP : DEEP;
        }
    });
    return 0;
}
