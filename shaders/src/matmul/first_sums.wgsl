if params.accumulate != 0u {
    //#repeat $q QUADS
    {
        let column = first_column + ($qu * ACROSS + across) * 4u;
        //#repeat $r 8
        if rows.x + down + $ru * DOWN < rows.y {
            sum$r_$q = load_sum(rows.x + down + $ru * DOWN, column);
        }
        //#end
    }
    //#end
}
