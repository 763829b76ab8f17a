//#include all_rows
//#include epilogue
