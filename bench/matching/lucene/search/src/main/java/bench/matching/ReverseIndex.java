package bench.matching;

import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.IndexWriterConfig.OpenMode;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.store.FSDirectory;

/**
 * A new offering comes: the needs into whose ten it enters, from an index of needs. The lists move with it.
 *
 * <p>Done for Lucene: one segment; documents in the order of their place; needs' records and lists in memory by document number;
 * the postings of each place are read directly, without the cost of a query, as no need stands in two places; a pair is given up as
 * soon as it cannot reach the need's tenth place. The index itself never changes: what a new need would cost it is not counted.
 */
public final class ReverseIndex {
  private ReverseIndex() {}

  public static void main(String[] arguments) throws IOException {
    int number = Integer.parseInt(arguments[0]);
    Records needs = Records.read("needs.bin", Need.WIDTH);
    Records events = Records.read("events.bin", Offering.WIDTH);
    Integer[] order = new Integer[needs.number];
    Arrays.setAll(order, at -> at);
    Arrays.sort(
        order,
        Comparator.<Integer>comparingInt(one -> Records.intAt(needs.bytes, needs.at(one) + Need.FIELD))
            .thenComparingInt(one -> Records.intAt(needs.bytes, needs.at(one) + Need.COUNTRY)));
    byte[] inDocumentOrder = new byte[needs.bytes.length];
    for (int document = 0; document < order.length; document++) {
      System.arraycopy(needs.bytes, needs.at(order[document]), inDocumentOrder, needs.at(document), needs.width);
    }
    try (FSDirectory directory = FSDirectory.open(Layout.FOLDER.resolve("reverse"))) {
      IndexWriterConfig config = new IndexWriterConfig().setOpenMode(OpenMode.CREATE).setRAMBufferSizeMB(1024);
      try (IndexWriter writer = new IndexWriter(directory, config)) {
        for (int document = 0; document < order.length; document++) {
          Document need = new Document();
          need.add(new StringField("place", Places.ofNeed(inDocumentOrder, needs.at(document)), Field.Store.NO));
          writer.addDocument(need);
        }
        writer.forceMerge(1);
      }
      try (DirectoryReader reader = DirectoryReader.open(directory)) {
        LeafReader leaf = reader.leaves().get(0).reader();
        Entered entered = null;
        long[] nanoseconds = new long[number];
        for (int round = Answers.rounds(number); round > 0; round--) { // the last one counts
          entered = new Entered(number);
          TopTen[] lists = inOrder(TopTen.read("standing.bin"), order);
          for (int event = 0; event < number; event++) {
            long begun = System.nanoTime();
            int offering = events.at(event);
            int rank = Records.intAt(events.bytes, offering + Offering.RANK);
            for (String place : Places.ofOffering(events.bytes, offering)) {
              PostingsEnum postings = leaf.postings(new Term("place", place), PostingsEnum.NONE);
              if (postings == null) {
                continue;
              }
              for (int need = postings.nextDoc(); need != DocIdSetIterator.NO_MORE_DOCS; need = postings.nextDoc()) {
                TopTen list = lists[need];
                int score = Score.of(inDocumentOrder, need * Need.WIDTH, events.bytes, offering, list.atLeast());
                if (score != Score.NONE && list.enter(score, rank)) {
                  entered.add(order[need]);
                }
              }
            }
            entered.endOfEvent();
            nanoseconds[event] = System.nanoTime() - begun;
          }
        }
        Answers.write("entered.nanoseconds", nanoseconds);
        entered.write();
      }
    }
  }

  private static TopTen[] inOrder(TopTen[] lists, Integer[] order) {
    TopTen[] ordered = new TopTen[lists.length];
    Arrays.setAll(ordered, at -> lists[order[at]]);
    return ordered;
  }
}
